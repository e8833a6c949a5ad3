"""Runs in Weights & Biases (the extra `wandb`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hornbeam._internal.extras import required
from hornbeam.insight.trackers.tracker import Tracker
from hornbeam.models import Model


class WandbTracker(Tracker):
    """Send a training to Weights & Biases.

    Settings are the run's config, with versions and machine below `environment`. Metrics have the names of
    the logs and the axis `epoch`. Scores of `evaluate` go to the run's summary, with their intervals. Parts
    that `RunRecorder` would write are files of the run.

    A run that `wandb.init` began is used, and left open. Otherwise each training begins its own, which stays
    open for `evaluate` until `finish`, the next training of this callback, or the end of the process.
    `WANDB_MODE=offline` sends nothing: `wandb sync` does it later. See `Tracker` for failures.

    Args:
        project: Name of the project.
        name: Name of the run, the model's name by default.
        save_model: Send the trained model as an artifact, a `.keras` file.
        **options: Further arguments of `wandb.init`, such as `entity`, `group` and `tags`.

    Raises:
        ImportError: Without wandb.

    Example:
        >>> tracker = hornbeam.callbacks.WandbTracker("digits")  # doctest: +SKIP
        >>> model.fit(x, y, epochs=5, callbacks=[tracker])  # doctest: +SKIP

    Source: https://docs.wandb.ai.
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        *,
        save_model: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(name, save_model=save_model)
        self._library = _wandb()
        self.project = project
        self.options = options
        # The run of wandb, and whether it is ours to finish.
        self.run: Any = None
        self._owns = False
        self._with_axis: set[str] = set()

    def start(self, name: str, run_id: str | None) -> None:
        self.finish()
        self.run = self._library.run
        self._owns = self.run is None
        if self._owns:
            again = {"id": run_id, "resume": "allow"} if run_id else {}
            options = {"project": self.project, "name": name, "reinit": "create_new", **again, **self.options}
            self.run = self._library.init(**options)
        self.run_id = self.run.id
        self._with_axis = {"epoch"}
        self.run.define_metric("epoch")

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        self.run.config.update(dict(settings), allow_val_change=True)

    def log_facts(self, facts: Mapping[str, str]) -> None:
        self.run.config.update({"environment": dict(facts)}, allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        # Epochs that a resumed training repeats may come again, which the axis "step" does not allow.
        for name in metrics.keys() - self._with_axis:
            self.run.define_metric(name, step_metric="epoch")
        self._with_axis |= metrics.keys()
        self.run.log({**metrics, "epoch": epoch})

    def log_scores(self, scores: Mapping[str, float]) -> None:
        self.run.summary.update(dict(scores))

    def log_file(self, name: str, text: str) -> None:
        path = Path(self.run.dir, name)
        path.write_text(text, encoding="utf-8")
        self.run.save(str(path), base_path=self.run.dir, policy="now")

    def log_model(self, model: Model) -> None:
        artifact = self._library.Artifact(f"model-{self.run_id}", type="model")
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            model.save(path)
            # The file is copied to where the client uploads from.
            artifact.add_file(str(path), policy="mutable")
            self.run.log_artifact(artifact)

    def end(self) -> None:
        self.run.summary.update({"status": "finished"})

    def finish(self) -> None:
        """Finish the run of wandb, if this callback began it."""
        if self.run is not None and self._owns:
            self.run.finish()
        self.run, self._owns = None, False


def _wandb() -> Any:
    with required("WandbTracker needs wandb", "wandb"):
        import wandb
    return wandb
