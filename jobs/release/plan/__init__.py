"""The requests of a release to a cluster, before it is installed; and the values of the charts."""
