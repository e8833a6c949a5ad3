"""hgq2: convolutions and pooling with quantizers, then traced for their ranges."""

import keras
import numpy as np
from hgq.layers import QConv2D, QDense, QMaxPooling2D
from hgq.utils import trace_minmax

x = np.random.default_rng(0).random((16, 12, 12, 1), "float32")
model = keras.Sequential(
    [
        keras.Input((12, 12, 1)),
        QConv2D(4, 3, activation="relu"),
        QMaxPooling2D(2),
        keras.layers.Flatten(),
        QDense(2),
    ]
)
model.compile("adam", "mse")
model.fit(x, np.zeros((16, 2)), epochs=1, verbose=0)
assert trace_minmax(model, x, verbose=False) is not None
