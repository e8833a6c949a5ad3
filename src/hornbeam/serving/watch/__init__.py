"""`hornbeam watch`: a page of recorded runs, which follows those that are running.

`watched` looks at the folder of runs and says what changed since the last look; `records` has what the page
shows of a run; `application` answers requests and sends changes as server-sent events; `server` listens.
Runs are read from their files alone, so any number of processes may train meanwhile.
"""
