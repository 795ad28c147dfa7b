"""The search: which trial runs where, what ends it, and the loop on the driver."""
