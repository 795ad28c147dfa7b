"""The Kubernetes API for the release commands: one client, objects, streams, and a snapshot of a release."""
