"""The provenance of a run: what each attempt was made of, beside its options; written where an attempt starts."""
