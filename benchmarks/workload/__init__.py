"""What is measured: generated rows, the textbook kernel on them, and a problem that computes nothing."""
