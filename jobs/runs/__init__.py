"""A run from its start to its end: its folder, attempts, identity, logs and display."""
