"""Where the project's figures come from: `python -m benchmarks.JOB` measures each beside a peer in the same run."""
