"""The sum of all replicas' vectors, without the driver: from worker to worker, in one fixed tree over parts."""
