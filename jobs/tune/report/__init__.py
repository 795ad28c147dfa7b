"""What the report of a tune run shows."""
