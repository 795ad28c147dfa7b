"""What a person sees of a fit: its progress, and how it ended."""
