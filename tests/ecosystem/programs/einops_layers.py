"""einops (tensorflow): layers Rearrange, Reduce and EinMix in a model."""

import keras
import numpy as np
from einops.layers.keras import EinMix, Rearrange, Reduce

x = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
model = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        Rearrange("b (h p) (w q) c -> b (h w) (p q c)", p=4, q=4),
        EinMix("b t c -> b t k", weight_shape="c k", bias_shape="k", c=48, k=5),
        Reduce("b t k -> b k", "max"),
        keras.layers.Dense(1),
    ]
)
model.compile("adam", "mse")
model.fit(x, np.ones((4, 1)), epochs=1, verbose=0)
assert model.predict(x, verbose=0).shape == (4, 1)
