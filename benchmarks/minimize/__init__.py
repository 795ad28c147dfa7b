"""Measures the minimize job beside its peers: `python -m benchmarks.minimize`."""
