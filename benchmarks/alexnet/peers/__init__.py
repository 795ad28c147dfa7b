"""What is measured of the alexnet job: ours, the classic structure, and Ray Data, which does not have this project."""
