"""Folders of runs as `RunRecorder` writes them, without a training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbeam.insight.runs.liveness import this_process


def write_run(folder: Path, run: str, epochs: int = 3, *, seed: int = 0, units: int = 8, **info: Any) -> Path:
    """Write a run whose loss falls; `info` replaces facts. Without a status it is one of this process."""
    path = folder / run
    path.mkdir(parents=True)
    facts = {
        "format": 2,
        "name": run,
        "status": "running",
        "started": "2026-11-30 04:15:03+0000",
        "command": f"python train.py --seed {seed}",
        "process": this_process(),
        "seed": seed,
        "fit": {"epochs": 10, "updates_per_epoch": 20, "batch_size": 32},
        "data": {"training": {"samples": 640, "fingerprint": f"{seed}"}, "validation": None},
        "environment": {"engine": "native"},
        **info,
    }
    layers = [{"name": f"dense_{seed}", "kind": "Dense", "output": str(units), "params": units}]
    config = {"layers": [{"name": f"dense_{seed}", "config": {"units": units, "seed": seed}}]}
    model = {"params": units, "layers": layers, "config": config, "compile": {"optimizer": "adam"}}
    (path / "model.json").write_text(json.dumps(model))
    (path / "history.jsonl").write_text("")
    for epoch in range(1, epochs + 1):
        append_epoch(path, epoch, {"loss": 1 / (epoch + seed), "val_accuracy": 1 - 1 / (epoch + 1)})
    (path / "run.json").write_text(json.dumps(facts))
    return path


def append_epoch(path: Path, epoch: int, logs: dict[str, Any], seconds: float = 2.0) -> None:
    """Append an epoch to the history of a run."""
    with open(path / "history.jsonl", "a") as file:
        file.write(json.dumps({"epoch": epoch, "seconds": seconds, "logs": logs}) + "\n")


def names_of(records: Sequence[dict[str, Any]]) -> list[str]:
    """Names of the folders that records are about."""
    return [record["run"] for record in records]
