"""SciPy's methods on an objective: their requirements, L1, constraints, and running them."""
