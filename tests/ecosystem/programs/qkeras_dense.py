"""qkeras-v3 (tensorflow): a network with quantized weights and activations, saved and loaded."""

import keras
import numpy as np
import qkeras
from qkeras.utils import load_qmodel

x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
model = keras.Sequential(
    [
        keras.Input((8,)),
        qkeras.QDense(8, kernel_quantizer="quantized_bits(4,0,1)", bias_quantizer="quantized_bits(4)"),
        qkeras.QActivation("quantized_relu(4)"),
        qkeras.QDense(1, kernel_quantizer=qkeras.ternary(), bias_quantizer=qkeras.quantized_po2(4)),
    ]
)
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, verbose=0)
before = model.predict(x, verbose=0)
model.save("q.keras")
after = load_qmodel("q.keras").predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
