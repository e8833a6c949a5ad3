"""k3-node (jax, here tensorflow): two graph convolutions classify nodes."""

import keras
import numpy as np
from k3_node.layers import GCNConv

rng = np.random.default_rng(0)
features = rng.normal(size=(10, 4)).astype("float32")
edges = np.stack([np.arange(10), (np.arange(10) + 1) % 10]).astype("int32")


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = GCNConv(4, 8)
        self.second = GCNConv(8, 2)

    def call(self, inputs):
        x, edge_index = inputs
        return self.second(keras.ops.relu(self.first(x, edge_index)), edge_index)


model = Net()
output = model((features, edges))
assert output.shape == (10, 2)
assert len(model.trainable_variables) >= 2
