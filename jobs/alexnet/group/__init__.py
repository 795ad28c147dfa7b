"""Images on the workers of a cluster: loaded, shuffled, and made again where a worker is lost."""
