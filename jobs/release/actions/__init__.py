"""What changes a release or brings something of it here: wait, cancel, fetch, logs."""
