"""Rows that lie in memory: arrays of the driver's, and chunks of Dask collections on the workers."""
