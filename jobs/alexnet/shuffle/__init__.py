"""Shuffling images between partitions: the plan, and its execution by the workers."""
