"""A release on Kubernetes, seen from outside: its values, its state, and the actions on it.

`values.Values` is the one source of the charts' values.yaml, values.schema.json and README tables.
"""
