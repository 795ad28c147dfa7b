"""A run from its start to its end: its folder, attempts, identity, and what a person sees meanwhile."""
