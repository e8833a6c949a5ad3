"""Two inputs and two outputs, by name."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(0)
title = np.random.randint(1, 50, (120, 6))
tags = np.random.randint(0, 2, (120, 4)).astype("float32")
priority = tags.mean(axis=1, keepdims=True)
department = (title[:, 0] % 3).astype("int64")

title_input = keras.Input(shape=(None,), name="title")
tags_input = keras.Input(shape=(4,), name="tags")
features = layers.LSTM(16)(layers.Embedding(50, 16)(title_input))
h = layers.concatenate([features, tags_input])
priority_output = layers.Dense(1, name="priority")(h)
department_output = layers.Dense(3, name="department")(h)
model = keras.Model(inputs=[title_input, tags_input], outputs=[priority_output, department_output])
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-2),
    loss={
        "priority": "mse",
        "department": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.5},
    metrics={"department": ["accuracy"]},
)
history = model.fit(
    {"title": title, "tags": tags},
    {"priority": priority, "department": department},
    epochs=4,
    batch_size=20,
    verbose=2,
)
assert history.history["loss"][-1] < history.history["loss"][0]
assert {"priority_loss", "department_loss", "department_accuracy"} <= set(history.history)
p, d = model.predict({"title": title, "tags": tags}, verbose=0)
assert p.shape == (120, 1)
assert d.shape == (120, 3)
