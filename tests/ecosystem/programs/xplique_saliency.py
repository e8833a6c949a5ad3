"""xplique (tensorflow): attributions by gradients and by occlusion."""

import keras
import numpy as np
from xplique.attributions import GradientInput, IntegratedGradients, Occlusion, Saliency

model = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
)
x = np.random.default_rng(0).random((3, 8, 8, 3), "float32")
y = keras.utils.to_categorical([0, 1, 0], 2)
for method in (Saliency, GradientInput, IntegratedGradients):
    assert method(model)(x, y).shape[:3] == (3, 8, 8), method
assert Occlusion(model, patch_size=4, patch_stride=4)(x, y).shape[:3] == (3, 8, 8)
