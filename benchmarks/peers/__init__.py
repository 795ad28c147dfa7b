"""Processes that several benchmarks measure."""
