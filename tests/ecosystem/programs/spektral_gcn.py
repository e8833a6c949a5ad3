"""spektral (tensorflow): graph convolutions over a batch of graphs."""

import keras
import numpy as np
from spektral.layers import GCNConv, GlobalSumPool

x, a = keras.Input((6, 4)), keras.Input((6, 6))
hidden = GCNConv(8, activation="relu")([x, a])
model = keras.Model([x, a], keras.layers.Dense(1)(GlobalSumPool()(hidden)))
model.compile("adam", "mse")
rng = np.random.default_rng(0)
features = rng.normal(size=(8, 6, 4)).astype("float32")
adjacency = (rng.random((8, 6, 6)) > 0.5).astype("float32")
model.fit([features, adjacency], features.sum((1, 2))[:, None], epochs=1, verbose=0)
