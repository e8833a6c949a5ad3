"""keras-nlp: the old name of keras-hub."""

import keras_nlp
import numpy as np

layer = keras_nlp.layers.SinePositionEncoding()
assert layer(np.zeros((2, 5, 8), "float32")).shape == (2, 5, 8)
assert keras_nlp.metrics.Perplexity()(np.array([[1, 2]]), np.ones((1, 2, 4), "float32")) > 0
