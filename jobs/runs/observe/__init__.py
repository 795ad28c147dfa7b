"""Observers of a run, by one stream of events: trackers, Prometheus, the user's function, a command at its end."""
