"""What a person sees of a run: its progress, log lines, and state in a few lines."""
