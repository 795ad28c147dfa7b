"""Where the project's figures come from: `python -m benchmarks` measures them, each beside a peer in the same run."""
