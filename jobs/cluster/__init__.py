"""A Dask cluster as jobs use it: connecting, what each worker has, cleaning up after a vanished driver."""
