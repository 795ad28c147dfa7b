"""Sums by tasks of Dask: shards are futures, which Dask brings back when their worker is lost."""
