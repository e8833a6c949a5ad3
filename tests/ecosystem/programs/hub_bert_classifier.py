"""keras-hub: a small BERT with a head for classes is fitted, saved and loaded."""

import keras
import keras_hub
import numpy as np

backbone = keras_hub.models.BertBackbone(
    vocabulary_size=40, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=12
)
model = keras_hub.models.BertTextClassifier(backbone, num_classes=3, preprocessor=None)
rng = np.random.default_rng(0)
x = {
    "token_ids": rng.integers(0, 40, (16, 12)),
    "segment_ids": np.zeros((16, 12), "int32"),
    "padding_mask": np.ones((16, 12), "int32"),
}
y = rng.integers(0, 3, 16)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(x, y, epochs=2, batch_size=8, verbose=0)
assert np.isfinite(history.history["loss"]).all()
before = model.predict(x, verbose=0)
assert before.shape == (16, 3)
model.save("bert.keras")
after = keras.models.load_model("bert.keras").predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
