"""The display of a running search: the live table, and the output of workers and libraries beside it."""
