"""What a study keeps: Optuna's records in the run folder, its table, its identity and its result."""
