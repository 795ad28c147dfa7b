"""The actions on a release: wait, cancel, fetch, logs."""
