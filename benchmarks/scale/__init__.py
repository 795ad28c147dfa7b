"""What a driver and a scheduler compute for many workers, which are simulated on this machine."""
