"""Text: TextVectorization, an embedding and a bidirectional LSTM."""

import keras
import numpy as np
from keras import layers

good = [
    "what a lovely film",
    "a great great story",
    "lovely and great",
    "i loved the story",
    "great film lovely story",
]
bad = [
    "what an awful film",
    "a boring boring story",
    "awful and boring",
    "i hated the story",
    "boring film awful story",
]
texts = np.array((good + bad) * 8)
labels = np.array(([1] * 5 + [0] * 5) * 8, "float32")

keras.utils.set_random_seed(0)
vectorize = layers.TextVectorization(max_tokens=100, output_sequence_length=6)
vectorize.adapt(texts)
print(vectorize.get_vocabulary()[:8])

inputs = keras.Input(shape=(1,), dtype="string")
h = vectorize(inputs)
h = layers.Embedding(100, 8, mask_zero=True)(h)
h = layers.Bidirectional(layers.LSTM(8))(h)
h = layers.Dense(8, activation="relu")(h)
outputs = layers.Dense(1, activation="sigmoid")(h)
model = keras.Model(inputs, outputs)
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(texts[:, None], labels, epochs=12, batch_size=16, verbose=0)
assert history.history["accuracy"][-1] > 0.95, history.history["accuracy"]
p = model.predict(np.array([["a lovely story"], ["an awful boring film"]]), verbose=0)
assert p[0, 0] > 0.5 > p[1, 0], p
