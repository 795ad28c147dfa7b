"""What is measured of the tune job: ours, Optuna alone, and Ray Tune, which does not have this project."""
