"""tf-keras-vis (tensorflow): saliency and Grad-CAM of an image classifier."""

import keras
import numpy as np
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

model = keras.Sequential(
    [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax"),
    ]
)
x = np.random.default_rng(0).random((2, 8, 8, 3)).astype("float32")
score = CategoricalScore([0, 1])
assert Saliency(model, model_modifier=ReplaceToLinear(), clone=True)(score, x).shape == (2, 8, 8)
assert Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)(score, x).shape == (2, 8, 8)
