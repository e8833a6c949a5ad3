"""`Discretization`: numbers as the bins they lie in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_int, check_unsupported
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.layer import Layer
from hornbeam.layers.preprocessing.adapting import batches_of, remembered
from hornbeam.layers.preprocessing.categories import encode
from hornbeam.layers.preprocessing.host import no_strings
from hornbeam.layers.preprocessing.quantiles import EMPTY, compressed, merged, summarized


@exported("keras.layers")
class Discretization(Layer):
    """Numbers as the index of the bin they lie in: y = how many of `bin_boundaries` are <= x.

    bin_boundaries: given, or `num_bins` bins of about equal counts are found by `adapt(data)`, from a summary
    of the data whose ranks are right to about `epsilon`. output_mode: "int", or the index encoded as in
    CategoryEncoding.

    Raises ValueError if neither or both of bin_boundaries and num_bins are given, or if it is not adapted.

    >>> np.asarray(hornbeam.layers.Discretization([0.0, 1.0])(np.array([-1.0, 0.5, 3.0]))).tolist()
    [0, 1, 2]
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        check_unsupported("Discretization", "tensors are dense", sparse=sparse)
        super().__init__(name=name, dtype=dtype)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError("Discretization: give bin_boundaries, or num_bins and call adapt(data)")
        self.num_bins = (
            None if num_bins is None else check_int("num_bins", num_bins, minimum=1, where="Discretization")
        )
        self.bin_boundaries = None if bin_boundaries is None else sorted(float(b) for b in bin_boundaries)
        self.epsilon = epsilon
        modes = ("int", "one_hot", "multi_hot", "count")
        self.output_mode = check_choice("output_mode", output_mode, modes, where="Discretization")
        self.sparse = sparse
        self._summary = EMPTY

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find `num_bins` bins that hold about equally many values of `data`: an array, or an iterable of
        batches, of which `steps` are read.

        Raises ValueError if the boundaries were given.
        """
        self.reset_state()
        for batch in remembered(self, batches_of(data, steps)):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget the data that were looked at."""
        if self.num_bins is None:
            raise ValueError(f"{self.describe()} was given bin_boundaries: there is nothing to adapt")
        self._summary = EMPTY

    def update_state(self, data: Any) -> None:
        """Look at a batch."""
        no_strings(data, self.describe())
        batch = summarized(np.asarray(data), self.epsilon)
        self._summary = merged(batch, self._summary, self.epsilon)

    def finalize_state(self) -> None:
        """Set the boundaries by what was looked at."""
        if self.num_bins is not None:
            self.bin_boundaries = compressed(self._summary, 1.0 / self.num_bins).values[:-1].tolist()

    def call(self, inputs: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise ValueError(f"{self.describe()} has no boundaries yet: call adapt(data)")
        x = ops.cast(inputs, self.compute_dtype)
        found = ops.digitize(x, np.asarray(self.bin_boundaries, np.float32))
        if self.output_mode == "int":
            return found
        return encode(found, len(self.bin_boundaries) + 1, self.output_mode, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        boundaries = config.get("bin_boundaries") if config.get("num_bins") is not None else None
        if boundaries is not None:  # found by adapt
            config["bin_boundaries"] = None
        layer = super().from_config(config)
        if boundaries is not None:
            layer.bin_boundaries = list(boundaries)
        return layer
