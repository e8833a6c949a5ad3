"""Streams of batches as training data: datasets, generators and loaders."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from hornbeam._internal.typing import Tree
from hornbeam.data import INFINITE_CARDINALITY, Dataset
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.pipeline.py_dataset import Order, PyDataset
from hornbeam.engines import mesh_scope
from hornbeam.training.check_inputs import check_finite
from hornbeam.training.data_cursor import DataCursor
from hornbeam.training.host_inputs import RunHostLayers
from hornbeam.training.packing import Batch, Signature, convert_batch

EMPTY = "the data hold no batch: the generator or dataset is empty"


class StreamData:
    """Batches of an iterable: a Dataset of ours or of TensorFlow, a PyDataset, a generator, a DataLoader.

    class_weight: applied to every batch. run_host_layers: applied to the x of every batch.
    """

    in_memory = False

    def __init__(
        self,
        source: Tree,
        shuffle: Order | None = None,
        class_weight: Mapping[int, float] | None = None,
        run_host_layers: RunHostLayers | None = None,
    ) -> None:
        self.source = source
        self.shuffle = shuffle
        self.class_weight = class_weight
        # All parts of a batch have one number of samples.
        self.equal_lengths = True
        self.run_host_layers = run_host_layers
        restarts = isinstance(source, PyDataset)  # may be an iterator too
        self.once = not restarts and hasattr(source, "__next__") and iter(source) is source
        self.samples: int | None = None
        self.batch_size: int | None = None
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Batch] = []
        self.exhausted = False
        self.cursor = DataCursor(source)
        # Batches that were yielded: more than were consumed while a thread reads ahead.
        self._produced = 0

    @property
    def endless(self) -> bool:
        """True if the source declares that it has no end."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches is None
        return hasattr(self.source, "cardinality") and int(self.source.cardinality()) == INFINITE_CARDINALITY

    @property
    def steps(self) -> int | None:
        """Batches of a pass, None if unknown."""
        if isinstance(self.source, PyDataset):
            return self.source.num_batches
        try:
            return len(self.source)
        except TypeError:
            return None

    def declared_samples(self) -> tuple[int | None, int | None]:
        """Return the numbers of samples of a pass and of a batch, where a Dataset declares both."""
        if not isinstance(self.source, Dataset):
            return None, None
        return stage_of(self.source).samples_and_batch_size()

    def _start(self, first: int = 0) -> Iterator[Any]:
        """Begin a pass, of a Dataset at batch `first`."""
        self.cursor.begin_pass(self._produced)
        if isinstance(self.source, PyDataset):
            return self.source._batches(self.shuffle)
        if isinstance(self.source, Dataset):
            return stage_of(self.source).run_from(first)
        if hasattr(self.source, "as_numpy_iterator"):  # TensorFlow's
            return self.source.as_numpy_iterator()
        return iter(self.source)

    def first_batch(self) -> Batch:
        """Return the first batch without consuming it. Raises ValueError for NaN and infinite inputs."""
        if not self._peeked:
            item = self._next()
            if item is None:
                raise ValueError(EMPTY)
            batch = self._converted(item)
            check_finite([("x", leaf) for leaf in batch.x_leaves])
            self._peeked.append(batch)
        return self._peeked[0]

    @property
    def known(self) -> Batch:
        """See `ArrayData.known`."""
        return self.first_batch()

    def is_empty(self) -> bool:
        """True if there is no first batch; it is not consumed."""
        try:
            self.first_batch()
        except ValueError as error:
            if str(error) == EMPTY:
                return True
            raise
        return False

    def signatures(self, steps: int | None) -> list[Signature]:
        """Return the types of the first batch; later ones are traced when they come."""
        return [self.first_batch().signature()]

    def rewind(self) -> None:
        """Start again at the first batch, if the source can."""
        if not self.once:
            self._iterator = None
            self._peeked = []
            self._produced = 0
            self.cursor.reset()

    @property
    def description(self) -> dict[str, Any]:
        """See `ArrayData.description`."""
        return {"batches": self.steps}

    @property
    def at_end(self) -> bool:
        """See `ArrayData.at_end`."""
        return self._iterator is None and not self._peeked

    def position(self) -> dict[str, Any]:
        """See `ArrayData.position`."""
        return self.cursor.position(self.at_end, self._produced)

    def seek(self, position: dict[str, Any]) -> None:
        """See `ArrayData.seek`. Batches that were consumed are computed again and dropped.

        A Dataset skips them without that where it can, except for the last one: functions that draw random
        numbers draw for a pass when they are called first, here as there. Raises ValueError if the source has
        fewer batches.
        """
        self.rewind()
        skip = self.cursor.seek(position)
        if skip is None:
            return
        unread = max(skip - 1, 0) if isinstance(self.source, Dataset) else 0
        if not self._peeked:
            self._iterator = self._start(unread)
        for number in range(unread, skip):
            if self._peeked:
                self._peeked.pop()
            elif self._next() is None:
                raise ValueError(f"the data end after {number} batches, where {skip} were used before")
        self._produced = skip
        self.cursor.mark_skipped(skip)

    def _next(self) -> Tree:
        """Return the next item of the source, None at its end."""
        with mesh_scope(None):  # the data of this process, not the model
            if self._iterator is None:
                self._iterator = self._start()
            return next(self._iterator, None)

    def epoch(self, steps: int | None = None, begins: bool = True) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch: the rest of the pass, or the next `steps` batches of it.

        begins: False if the epoch had batches before. Else it is never empty if the source can start again.
        """
        count = 0
        while steps is None or count < steps:
            if self._peeked:
                count += 1
                self._produced += 1
                yield self._peeked.pop()
                continue
            if self._iterator is None and self.once and self.exhausted:
                return
            fresh = self._iterator is None
            item = self._next()
            if item is None:
                self._iterator = None
                self.exhausted = True
                if fresh or count or self.once or not begins:
                    return
                continue  # the last epoch took all batches of the pass
            count += 1
            self._produced += 1
            yield self._converted(item)
        if steps is not None and steps == self.steps:
            self._iterator = None

    def _converted(self, item: Tree) -> Batch:
        return convert_batch(item, self.class_weight, self.run_host_layers, self.equal_lengths)
