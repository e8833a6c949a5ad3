"""keras-hub: a small ResNet classifies images; its weights are saved and loaded."""

import keras_hub
import numpy as np


def build():
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    return keras_hub.models.ResNetImageClassifier(backbone, num_classes=2, activation="softmax")


model = build()
rng = np.random.default_rng(0)
x, y = rng.random((8, 32, 32, 3), "float32"), np.arange(8) % 2
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=1, batch_size=4, verbose=0)
before = model.predict(x, verbose=0)
model.save_weights("resnet.weights.h5")
other = build()
other.load_weights("resnet.weights.h5")
np.testing.assert_allclose(before, other.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
