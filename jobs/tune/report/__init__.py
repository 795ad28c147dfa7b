"""The report of a tune run."""
