"""Who is measured: each module is a process that holds its data and answers orders to evaluate, see `serving`.

`data`, `plain`, `serving` and those of Ray need NumPy alone: Ray's environment has nothing else of ours.
"""
