"""The state of a release, from one snapshot."""
