"""Batch jobs for numerical work on Dask clusters."""
