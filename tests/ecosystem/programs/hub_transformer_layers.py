"""keras-hub: layers of transformers with masks in a functional model."""

import keras
import keras_hub
import numpy as np

keras.utils.set_random_seed(0)
inputs = keras.Input((10,), dtype="int32")
x = keras_hub.layers.TokenAndPositionEmbedding(
    vocabulary_size=50, sequence_length=10, embedding_dim=16, mask_zero=True
)(inputs)
x = keras_hub.layers.TransformerEncoder(intermediate_dim=32, num_heads=2, dropout=0.1)(x)
x = keras_hub.layers.TransformerDecoder(intermediate_dim=32, num_heads=2)(x)
x = keras.layers.GlobalAveragePooling1D()(x)
model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
rng = np.random.default_rng(0)
data = rng.integers(1, 50, (32, 10))
data[:, 7:] = 0
labels = (data[:, 0] > 25).astype("int32")
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
losses = model.fit(data, labels, epochs=10, verbose=0).history["loss"]
assert losses[-1] < losses[0]
before = model.predict(data, verbose=0)
model.save("transformer.keras")
after = keras.models.load_model("transformer.keras").predict(data, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
