"""An input pipeline of tf.data: map, cache, shuffle, batch, prefetch."""

import numpy as np
import tensorflow as tf

(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
ds_train = tf.data.Dataset.from_tensor_slices((x_train[:1500], y_train[:1500]))
ds_test = tf.data.Dataset.from_tensor_slices((x_test[:300], y_test[:300]))


def normalize_img(image, label):
    """Scale uint8 images to floats from 0 to 1."""
    return tf.cast(image, tf.float32) / 255.0, label


ds_train = ds_train.map(normalize_img, num_parallel_calls=tf.data.AUTOTUNE)
ds_train = ds_train.cache().shuffle(1500).batch(64).prefetch(tf.data.AUTOTUNE)
ds_test = (
    ds_test.map(normalize_img, num_parallel_calls=tf.data.AUTOTUNE)
    .batch(64)
    .cache()
    .prefetch(tf.data.AUTOTUNE)
)
for images, labels in ds_train.take(1):
    print(images.shape, labels.numpy()[:5])

model = tf.keras.models.Sequential(
    [
        tf.keras.layers.Flatten(input_shape=(28, 28)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
model.compile(
    optimizer=tf.keras.optimizers.Adam(0.003),
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[tf.keras.metrics.SparseCategoricalAccuracy()],
)
history = model.fit(ds_train, epochs=3, validation_data=ds_test, verbose=2)
assert history.history["val_sparse_categorical_accuracy"][-1] > 0.8
probabilities = tf.nn.softmax(model.predict(ds_test, verbose=0))
assert np.argmax(probabilities, axis=1).shape == (300,)
