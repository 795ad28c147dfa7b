"""The three processes of a release on Kubernetes: driver, scheduler and workers."""
