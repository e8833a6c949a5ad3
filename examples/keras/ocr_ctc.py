"""Reading captchas: convolutions, a bidirectional LSTM over columns, and the CTC loss."""

import keras
import numpy as np
from keras import layers, ops

CHARACTERS = 4
LENGTH = 3
GLYPHS = ["111101101101111", "010110010010111", "111001111100111", "101101111001001"]


def make_captchas(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CHARACTERS, (count, LENGTH))
    images = 0.1 * rng.normal(size=(count, 32, 12, 1))
    for image, word in zip(images, labels):
        for place, label in enumerate(word):
            glyph = np.array([int(c) for c in GLYPHS[label]]).reshape(5, 3)
            left, top = 2 + place * 10 + rng.integers(0, 3), rng.integers(0, 3)
            image[left : left + 6, top : top + 10, 0] += np.kron(glyph.T, np.ones((2, 2)))
    return images.astype("float32"), labels.astype("int32")


def ctc(y_true, y_pred):
    """Class 0 is the blank; the network gives a prediction for each column."""
    batch = ops.shape(y_true)[0]
    label_length = ops.full((batch,), LENGTH, dtype="int32")
    input_length = ops.full((batch,), y_pred.shape[1], dtype="int32")
    return ops.ctc_loss(ops.cast(y_true, "int32") + 1, y_pred, label_length, input_length, mask_index=0)


def build_model():
    input_img = layers.Input(shape=(32, 12, 1), name="image")
    x = layers.Conv2D(16, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same")(
        input_img
    )
    x = layers.MaxPooling2D((2, 2), name="pool1")(x)
    x = layers.Conv2D(32, (3, 3), activation="relu", kernel_initializer="he_normal", padding="same")(x)
    x = layers.MaxPooling2D((1, 2), name="pool2")(x)
    x = layers.Reshape(target_shape=(16, 3 * 32), name="reshape")(x)
    x = layers.Dense(32, activation="relu", name="dense1")(x)
    x = layers.Bidirectional(layers.LSTM(24, return_sequences=True))(x)
    x = layers.Dense(CHARACTERS + 1, name="logits")(x)
    return keras.models.Model(inputs=input_img, outputs=x, name="ocr_model")


def main():
    keras.utils.set_random_seed(0)
    images, labels = make_captchas(640)
    model = build_model()
    model.compile(optimizer=keras.optimizers.Adam(5e-3), loss=ctc)
    history = model.fit(images, labels, batch_size=16, epochs=6, verbose=2)
    logits = model.predict(images[:50], verbose=0)
    (decoded,), _ = ops.nn.ctc_decode(logits, np.full(50, logits.shape[1]), strategy="greedy", mask_index=0)
    right = np.mean((np.array(decoded)[:, :LENGTH] == labels[:50] + 1).all(axis=1))
    print("words read right", right)
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
