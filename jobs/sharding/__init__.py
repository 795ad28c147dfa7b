"""Which rows are summed together, and which worker holds them: pure arithmetic, without Dask and without data."""
