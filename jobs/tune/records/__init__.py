"""The records of a study: Optuna's journal in the run folder, its table, its identity and its result."""
