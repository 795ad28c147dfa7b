"""Make the tables of docs/data.md: 20,000 customers as churn/*.parquet, and 1,000 new ones as new.csv."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

numbers = np.random.default_rng(0)
count = 21_000
age = numbers.integers(18, 80, count)
visits = numbers.poisson(5, count)
plan = np.array(["basic", "free", "pro"])[numbers.integers(0, 3, count)]
score = 0.05 * (age - 45) - 0.4 * (visits - 5) + np.where(plan == "free", 1, -0.5) + numbers.logistic(size=count)
churned = np.where(score > 0, "yes", "no")
table = pa.table({"customer": np.arange(count), "age": age, "visits": visits, "plan": plan, "churned": churned})

Path("churn").mkdir(exist_ok=True)
parquet.write_table(table.slice(0, 12_000), "churn/2025.parquet")
parquet.write_table(table.slice(12_000, 8_000), "churn/2026.parquet")
csv.write_csv(table.slice(20_000), "new.csv")
