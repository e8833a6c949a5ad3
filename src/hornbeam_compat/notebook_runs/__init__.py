"""`hornbeam run notebook.ipynb`: notebooks run cell by cell in this process, without a Jupyter kernel."""
