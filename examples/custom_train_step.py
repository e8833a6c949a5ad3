"""A custom training step: an autoencoder that learns to remove noise from digits.

An overridden `train_step` is ordinary code; it is compiled like the built-in one and runs on every engine.
"""

from __future__ import annotations

import hornbeam as hb
from hornbeam import layers, ops


class Denoiser(hb.Model):
    """Autoencoder that adds noise to its training data and learns to remove it."""

    def __init__(self, noise: float = 0.3) -> None:
        super().__init__()
        self.noise = noise
        self.seeds = hb.random.SeedGenerator(1)
        self.encoder = layers.Dense(64, activation="relu")
        self.decoder = layers.Dense(784, activation="sigmoid")
        self.loss_tracker = hb.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list:
        return [self.loss_tracker]

    def call(self, x):
        return self.decoder(self.encoder(x))

    def train_step(self, data):
        clean = data[0] if isinstance(data, tuple) else data
        noisy = clean + self.noise * hb.random.normal(ops.shape(clean), seed=self.seeds)
        loss = ops.mean(ops.square(self(noisy, training=True) - clean))
        gradients = hb.gradients(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def main(epochs: int = 5, samples: int = 20_000) -> list[float]:
    hb.utils.set_random_seed(0)
    (x_train, _), _ = hb.datasets.mnist.load_data()
    x = x_train[:samples].reshape(-1, 784).astype("float32") / 255
    model = Denoiser()
    model.compile(optimizer=hb.optimizers.Adam(1e-3))
    history = model.fit(x, batch_size=128, epochs=epochs)
    return history.history["loss"]


if __name__ == "__main__":
    main()
