"""ResNet-20 (He et al. 2015, section 4.2) on 32x32x3 images, SGD with Nesterov momentum."""

from common import images, keras, measure, samples

layers = keras.layers


def convolved(x, filters, size=3, stride=1):
    x = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def block(x, filters, stride):
    inner = layers.Activation("relu")(convolved(x, filters, stride=stride))
    inner = convolved(inner, filters)
    if stride != 1:
        x = convolved(x, filters, 1, stride)
    return layers.Activation("relu")(layers.add([inner, x]))


x, y = images(samples(5120), 32, 3)
inputs = keras.Input((32, 32, 3))
hidden = layers.Activation("relu")(convolved(inputs, 16))
for filters in (16, 32, 64):
    for number in range(3):
        hidden = block(hidden, filters, 2 if filters > 16 and number == 0 else 1)
model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(hidden)))
model.compile(
    optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
measure(model, x, y, 128)
