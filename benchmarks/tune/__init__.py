"""Measures the tune job beside its peers: `python -m benchmarks.tune`."""
