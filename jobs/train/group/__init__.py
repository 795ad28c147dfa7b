"""Replicas on the workers of a cluster: the plugin there, and the driver that keeps them in step."""
