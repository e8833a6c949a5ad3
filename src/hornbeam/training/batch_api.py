"""Methods of a model for single batches: `train_on_batch`, `test_on_batch` and `predict_on_batch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from hornbeam.data.splits.sealed import refuse_sealed
from hornbeam.training.check_arguments import check_class_weight
from hornbeam.training.loop import as_floats
from hornbeam.training.memory_budget import within_budget
from hornbeam.training.packing import Batch, make_batch
from hornbeam.training.steps import Steps

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree


class BatchMethods(Steps):
    """Part of a model that trains, tests and predicts one batch at a call."""

    @overload
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        *,
        return_dict: Literal[True],
        memory_budget: int | str | None = None,
    ) -> dict[str, float]: ...

    @overload
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
        *,
        memory_budget: int | str | None = None,
    ) -> Tree: ...

    @within_budget
    def train_on_batch(
        self,
        x: Tree,
        y: Tree = None,
        sample_weight: Tree = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
        *,
        memory_budget: int | str | None = None,
    ) -> Tree:
        """Update the weights once, with one batch.

        Args:
            x: Arrays of inputs, (samples, ...).
            y: Arrays of targets, (samples, ...).
            sample_weight: One weight for each sample.
            class_weight: Dict from class indices to weights.
            return_dict: Return the results by name.
            memory_budget: Most memory of the step, as for `fit`.

        Returns:
            Loss and metrics of this batch alone: a float, a list of them, or a dict with `return_dict`.

        Raises:
            ValueError: If the model is not compiled, or the data cannot be right.
            MemoryError: If the step does not fit into `memory_budget`.
        """
        self._require_compiled("train_on_batch")
        refuse_sealed(x, "train_on_batch() got it as x")
        self.reset_metrics()
        batch = self._one_batch(x, y, sample_weight, check_class_weight(class_weight))
        return self._hb_results("train", batch, return_dict)

    @overload
    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, *, return_dict: Literal[True]
    ) -> dict[str, float]: ...

    @overload
    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, return_dict: bool = False
    ) -> Tree: ...

    def test_on_batch(
        self, x: Tree, y: Tree = None, sample_weight: Tree = None, return_dict: bool = False
    ) -> Tree:
        """Compute loss and metrics of one batch alone.

        Args:
            x: Arrays of inputs, (samples, ...).
            y: Arrays of targets, (samples, ...).
            sample_weight: One weight for each sample.
            return_dict: Return the results by name.

        Returns:
            Loss and metrics: a float, a list of them, or a dict with `return_dict`.

        Raises:
            ValueError: If the model is not compiled, or the data cannot be right.
        """
        self._require_compiled("test_on_batch")
        self.reset_metrics()
        return self._hb_results("test", self._one_batch(x, y, sample_weight, None), return_dict)

    def predict_on_batch(self, x: Tree) -> Tree:
        """Compute the outputs for one batch.

        Args:
            x: Arrays of inputs, (samples, ...).

        Returns:
            NumPy arrays in the structure of the model's outputs.
        """
        return self._predict_batch(make_batch(self._run_host_layers(x)))

    def _one_batch(
        self, x: Tree, y: Tree, sample_weight: Tree, class_weight: Mapping[int, float] | None
    ) -> Batch:
        batch = make_batch(self._run_host_layers(x), y, sample_weight, class_weight)
        if type(self).train_step is Steps.train_step:
            self._check_inputs(batch.x)
        return batch

    def _hb_results(self, mode: str, batch: Batch, return_dict: bool) -> Tree:
        logs = as_floats(self._compiled_step(mode, batch.signature()).run(batch))
        return dict(sorted(logs.items())) if return_dict else self._listed_logs(logs)

    def _listed_logs(self, logs: dict[str, Any]) -> Tree:
        """Return logs in Keras's order: metrics whose name got a prefix of the output come last, sorted."""
        metrics = self._training_state.metrics
        late = {name for _, metric, _, name in (metrics.rows if metrics else ()) if metric.name != name}
        names = [*(name for name in logs if name not in late), *sorted(late & set(logs))]
        values = [logs[name] for name in names]
        return values[0] if len(values) == 1 else values
