"""The report of a minimize run."""
