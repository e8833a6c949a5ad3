"""`python -m benchmarks.atlas`: shapes of real nets, one operation each, beside PyTorch.

`cases` defines a case, `families` makes cases of each kind, `table` lists all of them. `sides/` has one plain
script a library, a child process of which `session` asks one case after the other, so that sides alternate.
`measure` takes the least times, `report` shows them.
"""
