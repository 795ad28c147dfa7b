"""What is known of Kubernetes outside the charts: a release's values, what it is doing, and how it is ended.

`values.Values` is the one source of the charts' values.yaml, values.schema.json and README tables.
"""
