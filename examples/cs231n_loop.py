"""Minibatch gradient descent by hand: the loop to which the CS231n course notes reduce training.

Draw a batch, compute the gradient of the loss on it, step against the gradient, and repeat.

An epoch is one pass over all samples: 60,000 digits in batches of 256 are 235 updates of the weights.
"""

from __future__ import annotations

import numpy as np

import hornbeam as hb
from hornbeam import ops


def loss_fun(weights: dict, data_batch: tuple) -> hb.Tensor:
    """Compute the softmax cross-entropy of a linear classifier, mean of -log softmax(x W + b)[label]."""
    images, labels = data_batch
    scores = ops.matmul(images, weights["W"]) + weights["b"]
    return ops.mean(ops.sparse_categorical_crossentropy(labels, scores, from_logits=True))


def main(updates: int = 1000, batch: int = 256, step: float = 0.2) -> float:
    (x_train, y_train), (x_test, y_test) = hb.datasets.mnist.load_data()
    x_train = x_train.reshape(-1, 784).astype("float32") / 255
    x_test = x_test.reshape(-1, 784).astype("float32") / 255
    rng = np.random.default_rng(0)

    weights = {"W": ops.zeros((784, 10)), "b": ops.zeros((10,))}
    loss_and_gradient = hb.jit(hb.value_and_grad(loss_fun))
    for update in range(updates):
        rows = rng.integers(0, len(x_train), batch)
        loss, gradient = loss_and_gradient(weights, (x_train[rows], y_train[rows]))
        for name in weights:
            weights[name] += -step * gradient[name]
        if update % 100 == 0:
            print(f"update {update:5d}  loss {float(loss):.4f}")

    predicted = ops.argmax(ops.matmul(x_test, weights["W"]) + weights["b"], axis=-1)
    accuracy = float(np.mean(np.asarray(predicted) == y_test))
    print(f"test accuracy {accuracy:.2%}")
    return accuracy


if __name__ == "__main__":
    main()
