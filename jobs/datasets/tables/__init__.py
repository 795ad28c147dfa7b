"""Tables: Parquet and CSV files whose columns have names. Only `jobs.datasets.open` and predictions import this."""
