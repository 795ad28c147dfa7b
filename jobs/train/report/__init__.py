"""The report of a train run."""
