"""Kubernetes' API as the release commands use it: one client, objects, streams, and a snapshot of a release."""
