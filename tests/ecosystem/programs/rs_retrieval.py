"""keras-rs: two towers are trained on pairs, and retrieve the best items of a user."""

import keras
import keras_rs
import numpy as np


class Retrieval(keras.Model):
    def __init__(self):
        super().__init__()
        self.users = keras.layers.Embedding(10, 4)
        self.items = keras.layers.Embedding(20, 4)
        self.search = keras_rs.layers.BruteForceRetrieval(k=3, return_scores=False)
        self.loss_fn = keras.losses.MeanSquaredError()
        self.loss_fn = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")

    def build(self, input_shape):
        self.users.build(input_shape)
        self.items.build(input_shape)
        self.search.candidate_embeddings = self.items.embeddings
        self.search.build(input_shape)
        super().build(input_shape)

    def call(self, inputs, training=False):
        embedding = self.users(inputs)
        result = {"user": embedding}
        if not training:
            result["predictions"] = self.search(embedding)
        return result

    def compute_loss(self, x, y, y_pred, sample_weight, training=True):
        scores = keras.ops.matmul(y_pred["user"], keras.ops.transpose(self.items(y)))
        labels = keras.ops.eye(keras.ops.shape(scores)[0])
        return self.loss_fn(labels, scores, sample_weight)


model = Retrieval()
model.compile(keras.optimizers.Adagrad(0.1))
model.fit(np.arange(64) % 10, np.arange(64) % 20, epochs=2, batch_size=16, verbose=0)
items = model.predict(np.arange(4), verbose=0)["predictions"]
assert items.shape == (4, 3)
