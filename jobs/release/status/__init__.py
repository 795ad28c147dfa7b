"""What a release is doing, from one snapshot."""
