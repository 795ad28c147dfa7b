"""Models to begin with: `--example linear`, and the default, a CNN for the digits."""
