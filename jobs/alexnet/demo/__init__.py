"""Data to begin with: generated images whose classes can be learned."""
