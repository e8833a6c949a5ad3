"""Separable convolutions in the manner of MobileNet, on 32x32x3 images, Adam."""

from common import images, keras, measure, samples

layers = keras.layers
x, y = images(samples(5120), 32, 3)
inputs = keras.Input((32, 32, 3))
hidden = layers.Conv2D(32, 3, padding="same", use_bias=False)(inputs)
hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
for filters, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1)]:
    hidden = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(hidden)
    hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
    hidden = layers.Conv2D(filters, 1, use_bias=False)(hidden)
    hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
outputs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(hidden))
model = keras.Model(inputs, outputs)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
measure(model, x, y, 128)
