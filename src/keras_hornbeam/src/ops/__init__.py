# ruff: noqa: F401, F403
"""Operations of the backend, in modules that are named as those of `keras.ops`."""

from keras_hornbeam.src.ops import core, image, linalg, math, nn, numpy
from keras_hornbeam.src.ops.core import *
