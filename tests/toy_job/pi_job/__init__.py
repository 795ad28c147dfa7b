"""A job of somebody else's: pi by Monte Carlo."""
