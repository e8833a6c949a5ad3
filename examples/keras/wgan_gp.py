"""A Wasserstein GAN with gradient penalty: a gradient inside of a gradient."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

NOISE = 4


class WGAN(keras.Model):
    def __init__(self, discriminator, generator, discriminator_extra_steps=2, gp_weight=10.0):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.d_steps = discriminator_extra_steps
        self.gp_weight = gp_weight

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def gradient_penalty(self, batch_size, real, fake):
        alpha = tf.random.uniform([batch_size, 1], 0.0, 1.0)
        interpolated = real + alpha * (fake - real)
        with tf.GradientTape() as gp_tape:
            gp_tape.watch(interpolated)
            pred = self.discriminator(interpolated, training=True)
        grads = gp_tape.gradient(pred, [interpolated])[0]
        norm = tf.sqrt(tf.reduce_sum(tf.square(grads), axis=[1]) + 1e-12)
        return tf.reduce_mean((norm - 1.0) ** 2)

    def train_step(self, real):
        batch_size = tf.shape(real)[0]
        for _ in range(self.d_steps):
            noise = tf.random.normal(shape=(batch_size, NOISE))
            with tf.GradientTape() as tape:
                fake = self.generator(noise, training=True)
                cost = tf.reduce_mean(self.discriminator(fake, training=True)) - tf.reduce_mean(
                    self.discriminator(real, training=True)
                )
                d_loss = cost + self.gradient_penalty(batch_size, real, fake) * self.gp_weight
            d_gradient = tape.gradient(d_loss, self.discriminator.trainable_variables)
            self.d_optimizer.apply_gradients(zip(d_gradient, self.discriminator.trainable_variables))
        noise = tf.random.normal(shape=(batch_size, NOISE))
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(self.discriminator(self.generator(noise, training=True), training=True))
        gen_gradient = tape.gradient(g_loss, self.generator.trainable_variables)
        self.g_optimizer.apply_gradients(zip(gen_gradient, self.generator.trainable_variables))
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 1000)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * rng.normal(size=(1000, 2))
    mlp = [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu")]
    generator = keras.Sequential([keras.Input((NOISE,)), *mlp, layers.Dense(2)])
    mlp = [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu")]
    discriminator = keras.Sequential([keras.Input((2,)), *mlp, layers.Dense(1)])
    wgan = WGAN(discriminator, generator)
    wgan.compile(
        d_optimizer=keras.optimizers.Adam(learning_rate=1e-3, beta_1=0.5, beta_2=0.9),
        g_optimizer=keras.optimizers.Adam(learning_rate=1e-3, beta_1=0.5, beta_2=0.9),
    )
    history = wgan.fit(ring.astype("float32"), batch_size=50, epochs=10, verbose=0)
    points = generator(tf.random.normal((200, NOISE))).numpy()
    radius = float(np.linalg.norm(points, axis=1).mean())
    print("mean distance from the center", radius)
    return {"d_loss": history.history["d_loss"], "radius": radius}


if __name__ == "__main__":
    main()
