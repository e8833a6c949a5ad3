"""`hornbeam bench`: everyday workloads, on our engines and beside others, in alternation and in fresh
processes.

`sides` says who takes part and how a workload is run there, `runner` runs, `report` shows. The workloads are
plain Keras scripts in `workloads/`, which a Python with the real Keras runs as they are.
"""
