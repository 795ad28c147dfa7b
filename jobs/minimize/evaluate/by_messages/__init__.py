"""Sums by messages to the workers, which a plugin answers: without tasks, and without the scheduler in between."""
