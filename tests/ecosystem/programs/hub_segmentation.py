"""keras-hub: DeepLabV3+ over a small ResNet gives a class for each pixel."""

import keras_hub
import numpy as np

encoder = keras_hub.models.ResNetBackbone(
    input_conv_filters=[64],
    input_conv_kernel_sizes=[7],
    stackwise_num_filters=[64, 64, 64],
    stackwise_num_blocks=[1, 1, 1],
    stackwise_num_strides=[1, 2, 1],
    block_type="bottleneck_block",
    image_shape=(64, 64, 3),
)
backbone = keras_hub.models.DeepLabV3Backbone(
    image_encoder=encoder,
    low_level_feature_key="P2",
    spatial_pyramid_pooling_key="P3",
    upsampling_size=2,
    dilation_rates=[2, 4],
    image_shape=(64, 64, 3),
)
model = keras_hub.models.DeepLabV3ImageSegmenter(backbone, num_classes=2, activation="softmax")
x = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
assert model.predict(x, verbose=0).ndim == 4
