"""The functional API: a ticket's title, body and tags tell its priority and its department."""

import keras
import numpy as np
from keras import layers

NUM_TAGS, NUM_WORDS, NUM_DEPARTMENTS = 12, 200, 4


def make_tickets(count=640, seed=0):
    rng = np.random.default_rng(seed)
    department = rng.integers(0, NUM_DEPARTMENTS, count)
    title = rng.integers(20, NUM_WORDS, (count, 10))
    body = rng.integers(20, NUM_WORDS, (count, 30))
    title[np.arange(count), rng.integers(0, 10, count)] = department + 1
    urgent = rng.random(count) < 0.4
    body[urgent, 5] = 10
    tags = rng.integers(0, 2, (count, NUM_TAGS)).astype("float32")
    tags[:, 0] = urgent
    targets = {
        "priority": urgent.astype("float32")[:, None],
        "department": keras.utils.to_categorical(department, NUM_DEPARTMENTS),
    }
    return {"title": title, "body": body, "tags": tags}, targets


def main():
    keras.utils.set_random_seed(0)
    title_input = keras.Input(shape=(None,), name="title")
    body_input = keras.Input(shape=(None,), name="body")
    tags_input = keras.Input(shape=(NUM_TAGS,), name="tags")
    title_features = layers.Embedding(NUM_WORDS, 16)(title_input)
    body_features = layers.Embedding(NUM_WORDS, 16)(body_input)
    title_features = layers.LSTM(24)(title_features)
    body_features = layers.LSTM(12)(body_features)
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, name="priority")(x)
    department_pred = layers.Dense(NUM_DEPARTMENTS, name="department")(x)
    model = keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(5e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
    )
    inputs, targets = make_tickets()
    history = model.fit(inputs, targets, epochs=8, batch_size=32, verbose=2)
    found = model.predict({name: value[:4] for name, value in inputs.items()}, verbose=0)
    print({name: value.shape for name, value in found.items()})
    return {key: history.history[key] for key in ("loss", "priority_loss", "department_loss")}


if __name__ == "__main__":
    main()
