"""Functions of the module `image` of a backend."""

from typing import Any

from hornbeam import ops
from hornbeam.extensions.tensors import homography
from keras_hornbeam.src.functions import functions_of
from keras_hornbeam.src.random import with_drawn_seed

__getattr__ = functions_of(ops.image, ops)
elastic_transform = with_drawn_seed(ops.image.elastic_transform)


def compute_homography_matrix(start_points: Any, end_points: Any) -> Any:
    """Return the projective map from `end_points` to `start_points`, (n, 8)."""
    return homography(end_points, start_points)
