"""keras-hub: features of a small vision transformer, with and without gradients."""

import keras
import keras_hub
import numpy as np

backbone = keras_hub.models.ViTBackbone(
    image_shape=(28, 28, 3), patch_size=4, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
)
model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)])
x = np.random.default_rng(0).random((8, 28, 28, 3), "float32")
model.compile("adam", "mse")
model.fit(x, x.mean((1, 2, 3)), epochs=1, verbose=0)
assert backbone(x).shape == (8, 50, 16)
config = backbone.get_config()
assert keras_hub.models.ViTBackbone.from_config(config).count_params() == backbone.count_params()
