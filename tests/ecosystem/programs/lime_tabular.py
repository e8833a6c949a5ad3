"""lime: explanations of rows and of an image by local models."""

import keras
import numpy as np
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer

x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, (x[:, 0] > 0).astype(int), epochs=2, verbose=0)
explainer = LimeTabularExplainer(x, feature_names=list("abcd"), class_names=["no", "yes"], random_state=0)
explanation = explainer.explain_instance(x[0], lambda rows: model.predict(rows, verbose=0), num_features=4)
assert len(explanation.as_list()) == 4
images = keras.Sequential(
    [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
)
image_array = np.random.default_rng(0).random((16, 16, 3))
result = LimeImageExplainer(random_state=0).explain_instance(
    image_array, lambda batch: images.predict(batch, verbose=0), top_labels=1, num_samples=20
)
assert result.segments.shape == (16, 16)
