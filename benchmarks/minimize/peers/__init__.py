"""Who is measured: each module is a process that holds its data and answers orders to evaluate, see `serving`.

`serving`, those of Ray, and what they import of `benchmarks.workload` need NumPy alone: Ray's environment has nothing
else of ours.
"""
