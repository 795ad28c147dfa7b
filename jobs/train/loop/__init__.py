"""The loop over epochs: what trains, checkpoints, what acts at the end of an epoch."""
