"""deel-lip (tensorflow): a 1-Lipschitz network with the hinge-Kantorovich-Rubinstein loss."""

import keras
import numpy as np
from deel.lip.activations import GroupSort2
from deel.lip.layers import FrobeniusDense, SpectralDense
from deel.lip.losses import HKR
from deel.lip.model import Sequential

x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
y = (x[:, :1] > 0).astype("float32")
model = Sequential([keras.Input((4,)), SpectralDense(8), GroupSort2(), FrobeniusDense(1)])
model.compile("adam", HKR(alpha=10.0, min_margin=1.0))
model.fit(x, y, epochs=2, verbose=0)
assert model.vanilla_export().predict(x, verbose=0).shape == (32, 1)
