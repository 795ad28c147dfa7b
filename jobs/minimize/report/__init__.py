"""What the report of a minimize run shows."""
