"""Make the data of counts.py: 200,000 rows of 20 features, and a count for each."""

import numpy as np

numbers = np.random.default_rng(0)
x = numbers.standard_normal((200_000, 20), dtype=np.float32)
rate = np.exp(x @ numbers.normal(0, 0.2, 20) + 0.5)
np.save("counts_x.npy", x)
np.save("counts_y.npy", numbers.poisson(rate))
