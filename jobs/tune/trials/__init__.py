"""One trial: the user's function, how it travels, how it is called in a worker, and its checkpoint."""
