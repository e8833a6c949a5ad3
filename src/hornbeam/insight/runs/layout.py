"""Names of the files of a recorded run."""

INFO, HISTORY = "run.json", "history.jsonl"
# Other parts of a run, each in a file of its name.
PARTS = ("model", "explanation", "data", "profile", "evaluation", "confusion", "mistakes", "doctor")
