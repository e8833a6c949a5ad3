"""A training loop from scratch: tf.data, a gradient tape, metrics, and tf.function for speed."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def make_data(count=1200, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(3).normal(size=(10, 64))
    y = rng.integers(0, 10, count)
    return (centres[y] + 1.2 * rng.normal(size=(count, 64))).astype("float32"), y


def main():
    keras.utils.set_random_seed(0)
    x, y = make_data()
    x_train, y_train, x_val, y_val = x[:1000], y[:1000], x[1000:], y[1000:]
    batch_size = 50
    train_dataset = tf.data.Dataset.from_tensor_slices((x_train, y_train))
    train_dataset = train_dataset.shuffle(buffer_size=1024, seed=1).batch(batch_size)
    val_dataset = tf.data.Dataset.from_tensor_slices((x_val, y_val)).batch(batch_size)

    inputs = keras.Input(shape=(64,), name="digits")
    z = layers.Dense(32, activation="relu")(inputs)
    z = layers.Dense(32, activation="relu")(z)
    outputs = layers.Dense(10, name="predictions")(z)
    model = keras.Model(inputs=inputs, outputs=outputs)
    optimizer = keras.optimizers.Adam(learning_rate=3e-3)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    train_acc_metric = keras.metrics.SparseCategoricalAccuracy()
    val_acc_metric = keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss_value = loss_fn(y, logits)
        grads = tape.gradient(loss_value, model.trainable_weights)
        optimizer.apply_gradients(zip(grads, model.trainable_weights))
        train_acc_metric.update_state(y, logits)
        return loss_value

    @tf.function
    def test_step(x, y):
        val_acc_metric.update_state(y, model(x, training=False))

    losses, accuracies = [], []
    for _ in range(5):
        total = 0.0
        for step, (x_batch_train, y_batch_train) in enumerate(train_dataset):
            loss_value = train_step(x_batch_train, y_batch_train)
            total += float(loss_value)
            if step % 10 == 0:
                print(f"Training loss (for one batch) at step {step}: {float(loss_value):.4f}")
        print("Training acc over epoch:", float(train_acc_metric.result()))
        train_acc_metric.reset_state()
        for x_batch_val, y_batch_val in val_dataset:
            test_step(x_batch_val, y_batch_val)
        losses.append(total / (step + 1))
        accuracies.append(float(val_acc_metric.result()))
        val_acc_metric.reset_state()
        print(f"Validation acc: {accuracies[-1]:.4f}")
    return {"loss": losses, "val_acc": accuracies}


if __name__ == "__main__":
    main()
