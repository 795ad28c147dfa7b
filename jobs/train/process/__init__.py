"""What one process does for a run: its replica, its rows, its steps with a group."""
