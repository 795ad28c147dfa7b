"""What a release requests of a cluster, before it is installed; and the values of the charts."""
