"""What a problem is, and the kernels of those that come with dask-jobs."""
