"""Measures the alexnet job beside its peers: `python -m benchmarks.alexnet`."""
