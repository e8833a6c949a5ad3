"""Right programs on images: convolutions, augmentation, transfer, autoencoders, GANs."""

import numpy as np

from .data import classifier, images, net, photos
from .listen import right


def convnet(keras, x, *first, units=3, activation="softmax"):
    layers = keras.layers
    model = net(keras, x, *first, layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(units, activation=activation))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@right
def convolutional_net(keras, layers):
    x, y = images()
    model = convnet(keras, x)
    model.fit(x[:200], y[:200], validation_split=0.2)
    model.evaluate(x[200:], y[200:])
    model.predict(x[:1])


@right
def divided_by_255(keras, layers):
    x, y = photos()
    x = x.astype("float32") / 255
    model = convnet(keras, x)
    model.fit(x[:200], y[:200], validation_data=(x[200:], y[200:]))


@right
def rescaling_in_the_net(keras, layers):
    """Bytes in, Rescaling first."""
    x, y = photos()
    model = convnet(keras, x, layers.Rescaling(1 / 255))
    model.fit(x[:200], y[:200])
    model.predict(x[200:])


@right
def between_minus_one_and_one(keras, layers):
    x, y = photos()
    x = x / 127.5 - 1
    model = convnet(keras, x)
    model.fit(x, y)
    model.predict(x[:3])


@right
def standardized_images(keras, layers):
    x, y = photos(channels=3)
    x = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    convnet(keras, x).fit(x, y)


@right
def black_and_white(keras, layers):
    """Images of 0 and 1, as integers."""
    x, y = images()
    x = (x > 0.5).astype("int64")
    convnet(keras, x).fit(x, y)


@right
def dark_test_images(keras, layers):
    """Test images are darker by half."""
    x, y = images()
    model = convnet(keras, x)
    model.fit(x[:200], y[:200])
    model.evaluate(x[200:] / 2, y[200:])


@right
def one_blank_image(keras, layers):
    """predict on an image of zeros, to see what a net says of nothing."""
    x, y = images()
    model = convnet(keras, x)
    model.fit(x, y)
    model.predict(np.zeros((1, 8, 8, 1)))


@right
def flattened_images(keras, layers):
    """reshape(-1, 64) and Dense layers."""
    x, y = images()
    x = x.reshape(-1, 64)
    model = net(keras, x, layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)


@right
def narrow_images(keras, layers):
    """Spectrograms of 3x40: few rows, many columns, one channel."""
    x = np.random.default_rng(0).random((200, 3, 40, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0.5).astype("int64")
    model = net(
        keras, x, layers.Conv2D(4, (3, 5), activation="relu"), layers.Flatten(), layers.Dense(2, "softmax")
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@right
def images_of_any_size(keras, layers):
    """Input((None, None, 1)) with a global pooling, used on another size."""
    x, y = images()
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()])
    model.add(layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)
    model.predict(np.pad(x[:2], ((0, 0), (4, 4), (4, 4), (0, 0))))


@right
def residual_block(keras, layers):
    """BatchNormalization, a skip connection, global average pooling."""
    x, y = images()
    inputs = keras.Input((8, 8, 1))
    a = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    a = layers.ReLU()(layers.BatchNormalization()(a))
    b = layers.Conv2D(4, 3, padding="same")(a)
    a = layers.GlobalAveragePooling2D()(layers.Add()([a, b]))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(a))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2)


@right
def augmentation_layers(keras, layers):
    """Random layers in front: on in fit, off in predict."""
    x, y = images()
    model = convnet(keras, x, layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.2))
    model.fit(x, y, validation_split=0.2)
    model.predict(x[:3])


@right
def frozen_base(keras, layers):
    """Transfer: a frozen base with BatchNormalization, called with training=False, and a new head."""
    x, y = images()
    base = net(keras, x, layers.Conv2D(4, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D())
    base.trainable = False
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, layers.Dense(3, "softmax")(base(inputs, training=False)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)


@right
def fine_tuning(keras, layers):
    """The head first, then the base too at a small rate; its BatchNormalization stays frozen."""
    x, y = images()
    base = net(keras, x, layers.Conv2D(4, 3), layers.BatchNormalization(), layers.GlobalAveragePooling2D())
    base.trainable = False
    model = keras.Sequential([keras.Input((8, 8, 1)), base, layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)
    base.trainable = True
    base.layers[1].trainable = False
    model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)


@right
def features_of_a_layer(keras, layers):
    """A model of the outputs of a hidden layer is predicted with, never compiled."""
    x, y = images()
    model = convnet(keras, x)
    model.fit(x, y)
    keras.Model(model.inputs, model.layers[0].output).predict(x[:4])


@right
def autoencoder(keras, layers):
    """y is x."""
    x, _ = images()
    model = net(keras, x, layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"))
    model.add(layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"))
    model.compile("adam", "binary_crossentropy")
    model.fit(x, x, validation_split=0.2)
    model.predict(x[:3])


@right
def denoising(keras, layers):
    """Noisy images, beyond 0 and 1 in places, to clean ones."""
    x, _ = images()
    noisy = x + np.random.default_rng(0).normal(0, 0.2, x.shape).astype("float32")
    model = net(keras, x, layers.Conv2D(4, 3, padding="same", activation="relu"))
    model.add(layers.Conv2D(1, 3, padding="same"))
    model.compile("adam", "mse")
    model.fit(noisy, x)


@right
def segmentation(keras, layers):
    """A class for each pixel, integers (n, 8, 8), softmax over channels."""
    x, _ = images()
    model = net(keras, x, layers.Conv2D(4, 3, padding="same", activation="relu"))
    model.add(layers.Conv2D(2, 1, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, (x[..., 0] > 0.5).astype("uint8"))


@right
def mask_of_zeros_and_ones(keras, layers):
    x, _ = images()
    model = net(keras, x, layers.Conv2D(4, 3, padding="same"), layers.Conv2D(1, 1, activation="sigmoid"))
    model.compile("adam", "dice")
    model.fit(x, (x > 0.5).astype("float32"))


@right
def boxes(keras, layers):
    """Four corners between 0 and 1, sigmoid and the Huber loss."""
    x, y = images()
    corners = np.stack([y / 4, y * 0, y / 4 + 0.2, y * 0 + 1], 1).astype("float32")
    model = net(keras, x, layers.Flatten(), layers.Dense(4, "sigmoid"))
    model.compile("adam", "huber")
    model.fit(x, corners)


@right
def siamese(keras, layers):
    """One encoder for two images, a contrastive loss on their distance."""
    x, y = images()
    encoder = net(keras, x, layers.Flatten(), layers.Dense(4))
    one, two = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    far = layers.Lambda(lambda ab: keras.ops.norm(ab[0] - ab[1], axis=1, keepdims=True))(
        [encoder(one), encoder(two)]
    )
    model = keras.Model([one, two], far)

    def contrastive(same, far):
        return same * far**2 + (1 - same) * keras.ops.maximum(1 - far, 0) ** 2

    model.compile("adam", contrastive)
    model.fit([x, x[::-1]], (y == y[::-1]).astype("float32")[:, None])


@right
def triplets_without_targets(keras, layers):
    """add_loss and no y at all: an autoencoder whose loss is inside."""
    x, _ = images()

    class Distance(layers.Layer):
        def call(self, ab):
            self.add_loss(keras.ops.mean((ab[0] - ab[1]) ** 2))
            return ab[1]

    inputs = keras.Input((64,))
    decoded = layers.Dense(64)(layers.Dense(4)(inputs))
    model = keras.Model(inputs, Distance()([inputs, decoded]))
    model.compile("adam")
    model.fit(x.reshape(-1, 64))


@right
def gan(keras, layers):
    """Two nets, train_on_batch in turn, the discriminator frozen inside the second."""
    x, _ = images(32)
    generator = keras.Sequential([keras.Input((4,)), layers.Dense(64, "sigmoid"), layers.Reshape((8, 8, 1))])
    discriminator = net(keras, x, layers.Flatten(), layers.Dense(1, "sigmoid"))
    discriminator.compile("adam", "binary_crossentropy")
    discriminator.trainable = False
    both = keras.Sequential([keras.Input((4,)), generator, discriminator])
    both.compile("adam", "binary_crossentropy")
    noise = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    for _ in range(2):
        discriminator.trainable = True
        discriminator.train_on_batch(x, np.ones((32, 1)))
        discriminator.train_on_batch(generator.predict(noise, verbose=0), np.zeros((32, 1)))
        discriminator.trainable = False
        both.train_on_batch(noise, np.ones((32, 1)))


@right
def variational_autoencoder(keras, layers):
    """Samples drawn in a layer, which adds the divergence."""
    x, _ = images()

    class Sampling(layers.Layer):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.seed = keras.random.SeedGenerator(1)

        def call(self, inputs):
            mean, log_variance = inputs
            self.add_loss(-0.5 * keras.ops.mean(1 + log_variance - mean**2 - keras.ops.exp(log_variance)))
            noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed)
            return mean + keras.ops.exp(0.5 * log_variance) * noise

    inputs = keras.Input((64,))
    hidden = layers.Dense(8, "relu")(inputs)
    code = Sampling()([layers.Dense(2)(hidden), layers.Dense(2)(hidden)])
    model = keras.Model(inputs, layers.Dense(64, "sigmoid")(code))
    model.compile("adam", "binary_crossentropy")
    model.fit(x.reshape(-1, 64), x.reshape(-1, 64))


@right
def knowledge_of_a_teacher(keras, layers):
    """A student learns the logits of a teacher."""
    x, y = images()
    teacher = classifier(keras, x)
    teacher.fit(x, y)
    student = classifier(keras, x, loss="kl_divergence", metrics=[])
    student.fit(x, teacher.predict(x))
