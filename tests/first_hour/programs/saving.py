"""Saving in every way that tutorials show, and loading again."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(0)
x = np.random.normal(size=(64, 4)).astype("float32")
y = np.random.randint(0, 3, 64)


def make():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


model = make()
model.fit(x, y, epochs=2, verbose=0)
expected = model.predict(x, verbose=0)

model.save("model.keras")
np.testing.assert_allclose(keras.models.load_model("model.keras").predict(x, verbose=0), expected, atol=1e-6)
model.save("m.h5")
np.testing.assert_allclose(keras.models.load_model("m.h5").predict(x, verbose=0), expected, atol=1e-6)
model.save_weights("model.weights.h5")
other = make()
other.load_weights("model.weights.h5")
np.testing.assert_allclose(other.predict(x, verbose=0), expected, atol=1e-6)
again = keras.models.model_from_json(model.to_json())
again.set_weights(model.get_weights())
np.testing.assert_allclose(again.predict(x, verbose=0), expected, atol=1e-6)
clone = keras.models.clone_model(model)
clone.set_weights(model.get_weights())
np.testing.assert_allclose(clone.predict(x, verbose=0), expected, atol=1e-6)
resumed = keras.models.load_model("model.keras")
resumed.fit(x, y, epochs=1, verbose=0)
