"""Node classification with a graph neural network: messages are gathered along edges and summed by node."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

NODES, CLASSES, FEATURES = 120, 3, 16


def make_papers(seed=0):
    """Papers that mostly cite their own subject, with noisy words."""
    rng = np.random.default_rng(seed)
    subject = rng.integers(0, CLASSES, NODES)
    words = (rng.random((NODES, FEATURES)) < 0.2).astype("float32")
    words[np.arange(NODES), subject * 5 + rng.integers(0, 5, NODES)] = 1
    edges = []
    for paper in range(NODES):
        for _ in range(4):
            same = np.flatnonzero(subject == subject[paper])
            edges.append((paper, rng.choice(same) if rng.random() < 0.8 else rng.integers(NODES)))
    edges = np.array(edges + [(b, a) for a, b in edges]).T
    return words, edges, subject


def create_ffn(hidden_units, dropout_rate, name=None):
    fnn_layers = []
    for units in hidden_units:
        fnn_layers.append(layers.BatchNormalization())
        fnn_layers.append(layers.Dropout(dropout_rate))
        fnn_layers.append(layers.Dense(units, activation="gelu"))
    return keras.Sequential(fnn_layers, name=name)


class GraphConvLayer(layers.Layer):
    def __init__(self, hidden_units, num_nodes, dropout_rate=0.2, **kwargs):
        super().__init__(**kwargs)
        self.num_nodes = num_nodes
        self.ffn_prepare = create_ffn(hidden_units, dropout_rate)
        self.update_fn = create_ffn(hidden_units, dropout_rate)

    def call(self, inputs):
        node_representations, edges = inputs
        node_indices, neighbour_indices = edges[0], edges[1]
        neighbours = tf.gather(node_representations, neighbour_indices)
        messages = self.ffn_prepare(neighbours)
        aggregated = tf.math.unsorted_segment_mean(messages, node_indices, num_segments=self.num_nodes)
        h = tf.concat([node_representations, aggregated], axis=1)
        return tf.nn.l2_normalize(self.update_fn(h), axis=-1)


class GNNNodeClassifier(keras.Model):
    def __init__(self, node_features, edges, num_classes, hidden_units, **kwargs):
        super().__init__(**kwargs)
        self.features, self.edges = tf.constant(node_features), tf.constant(edges)
        self.preprocess = create_ffn(hidden_units, 0.2, name="preprocess")
        self.conv1 = GraphConvLayer(hidden_units, len(node_features), name="graph_conv1")
        self.conv2 = GraphConvLayer(hidden_units, len(node_features), name="graph_conv2")
        self.compute_logits = layers.Dense(units=num_classes, name="logits")

    def call(self, input_node_indices, training=None):
        x = self.preprocess(self.features)
        x1 = self.conv1((x, self.edges))
        x = x1 + x
        x2 = self.conv2((x, self.edges))
        x = x2 + x
        node_embeddings = tf.gather(x, tf.cast(input_node_indices, tf.int32))
        return self.compute_logits(node_embeddings)


def main():
    keras.utils.set_random_seed(0)
    words, edges, subject = make_papers()
    order = np.random.default_rng(1).permutation(NODES)
    train, test = order[:90], order[90:]
    model = GNNNodeClassifier(words, edges, CLASSES, hidden_units=[16, 16])
    print("GNN output shape:", model(np.array([1, 10, 100])).shape)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
    )
    history = model.fit(x=train, y=subject[train], epochs=15, batch_size=30, verbose=0)
    test_loss, test_acc = model.evaluate(x=test, y=subject[test], verbose=0)
    print(f"Test accuracy: {test_acc * 100:.1f}%")
    return {"loss": history.history["loss"], "test_loss": test_loss}


if __name__ == "__main__":
    main()
