"""`hornbeam bench`: everyday workloads, on our engines and beside others, in alternation and in fresh
processes.

`competitors` defines the participants and how each runs a workload, `runner` runs them, `report` shows the
results. The workloads are plain Keras scripts in `workloads/`, which a Python with the real Keras runs
unchanged.
"""
