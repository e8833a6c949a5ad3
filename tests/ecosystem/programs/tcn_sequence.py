"""keras-tcn (tensorflow): a temporal convolutional network on sequences."""

import keras
import numpy as np
from tcn import TCN

x = np.random.default_rng(0).normal(size=(32, 12, 3)).astype("float32")
model = keras.Sequential(
    [
        keras.Input((12, 3)),
        TCN(8, kernel_size=2, dilations=(1, 2, 4), use_skip_connections=True),
        keras.layers.Dense(1),
    ]
)
model.compile("adam", "mse")
model.fit(x, x.sum((1, 2))[:, None], epochs=2, verbose=0)
before = model.predict(x, verbose=0)
model.save("tcn.keras")
after = keras.models.load_model("tcn.keras", custom_objects={"TCN": TCN}).predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
