"""What the rows of each part of each step are, and reading them ahead of the step."""
