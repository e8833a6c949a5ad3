"""Names of the files of a recorded run."""

INFO, HISTORY = "run.json", "history.jsonl"
# Other parts of a run, each in a file of its name.
PARTS = ("model", "explanation", "data", "profile", "evaluation", "confusion", "mistakes", "doctor")
# Position within the present epoch, while the training runs.
PROGRESS = "progress.json"
# Written by others: notes of people, and a request to stop.
NOTES, STOP = "notes.txt", "stop"
