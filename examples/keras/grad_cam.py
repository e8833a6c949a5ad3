"""Where does the network look? Class activation maps out of the gradients of its last convolution."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def make_pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=(count, 24, 24, 1))
    y = rng.integers(0, 2, count)
    places = rng.integers(0, 16, (count, 2))
    cross = np.zeros((8, 8))
    cross[3:5], cross[:, 3:5] = 1, 1
    square = np.ones((8, 8))
    square[2:6, 2:6] = 0
    for picture, label, (top, left) in zip(x, y, places):
        picture[top : top + 8, left : left + 8, 0] += cross if label else square
    return x.astype("float32"), y, places


def make_gradcam_heatmap(img_array, model, last_conv_layer_name, pred_index=None):
    grad_model = keras.models.Model(
        model.inputs, [model.get_layer(last_conv_layer_name).output, model.output]
    )
    with tf.GradientTape() as tape:
        last_conv_layer_output, preds = grad_model(img_array)
        if pred_index is None:
            pred_index = tf.argmax(preds[0])
        class_channel = preds[:, pred_index]
    grads = tape.gradient(class_channel, last_conv_layer_output)
    if grads is None:  # the convolution's output was watched by nobody
        raise RuntimeError("no gradient")
    pooled_grads = tf.reduce_mean(grads, axis=(0, 1, 2))
    last_conv_layer_output = last_conv_layer_output[0]
    heatmap = last_conv_layer_output @ pooled_grads[..., tf.newaxis]
    heatmap = tf.squeeze(heatmap)
    heatmap = tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)
    return heatmap.numpy()


def main():
    keras.utils.set_random_seed(0)
    x, y, places = make_pictures(600)
    inputs = keras.Input((24, 24, 1))
    z = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    z = layers.MaxPooling2D(2)(z)
    z = layers.Conv2D(16, 3, activation="relu", padding="same", name="last_conv")(z)
    z = layers.GlobalAveragePooling2D()(z)
    model = keras.Model(inputs, layers.Dense(2)(z))
    model.compile(
        optimizer=keras.optimizers.Adam(5e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(x, y, batch_size=32, epochs=6, verbose=2)
    inside = []
    for row in range(20):
        heatmap = make_gradcam_heatmap(x[row : row + 1], model, "last_conv")
        top, left = np.unravel_index(heatmap.argmax(), heatmap.shape)
        found = np.array([top * 2, left * 2])
        inside.append(np.all(found >= places[row] - 2) and np.all(found < places[row] + 10))
    print("brightest spot on the shape in", np.mean(inside), "of the images")
    return {"loss": history.history["loss"], "on_shape": float(np.mean(inside))}


if __name__ == "__main__":
    main()
