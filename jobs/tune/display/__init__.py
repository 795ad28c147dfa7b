"""What a person sees of a running search: the live table, and what workers and libraries print beside it."""
