"""What a values file asks of a cluster, before it is installed."""
