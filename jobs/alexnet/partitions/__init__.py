"""Partitions of decoded images: what a process holds of them, and how others are made."""
