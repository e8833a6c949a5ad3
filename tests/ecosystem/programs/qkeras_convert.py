"""qkeras-v3 (tensorflow): a float model is converted by a dict of quantizers."""

import keras
import numpy as np
from qkeras.utils import model_quantize

model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.Activation("relu", name="act"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(2, name="dense"),
    ]
)
config = {
    "conv": {"kernel_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(4)"},
    "act": "quantized_relu(4)",
    "dense": {"kernel_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(4)"},
}
quantized = model_quantize(model, config, 4, transfer_weights=True)
x = np.random.default_rng(0).random((4, 8, 8, 1), "float32")
quantized.compile("adam", "mse")
quantized.fit(x, np.ones((4, 2)), epochs=1, verbose=0)
assert [type(layer).__name__ for layer in quantized.layers[:2]] == ["QConv2D", "QActivation"]
assert quantized.predict(x, verbose=0).shape == (4, 2)
