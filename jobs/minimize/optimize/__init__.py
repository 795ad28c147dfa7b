"""SciPy's methods on an objective: what each needs, what L1, NaN and constraints ask of it, and running it."""
