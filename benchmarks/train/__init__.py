"""Measures the train job beside its peers: `python -m benchmarks.train`."""
