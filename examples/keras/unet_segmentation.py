"""Image segmentation with a U-Net, fed by a PyDataset."""

import keras
import numpy as np
from keras import layers


class Pets(keras.utils.PyDataset):
    """Batches of pictures and of masks with three classes: background, animal, outline."""

    def __init__(self, batch_size, count, size=32, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.batch_size, self.count, self.size, self.seed = batch_size, count, size, seed

    def __len__(self):
        return self.count // self.batch_size

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, index))
        rows, columns = np.mgrid[: self.size, : self.size]
        x = rng.normal(0.3, 0.1, (self.batch_size, self.size, self.size, 3)).astype("float32")
        y = np.zeros((self.batch_size, self.size, self.size, 1), "uint8")
        for picture, mask in zip(x, y):
            cy, cx, r = rng.uniform(10, 22), rng.uniform(10, 22), rng.uniform(5, 9)
            distance = np.hypot(rows - cy, columns - cx)
            mask[distance < r] = 1
            mask[np.abs(distance - r) < 1] = 2
            picture[distance < r] += rng.uniform(0.2, 0.5, 3)
        return x, y


def get_model(img_size, num_classes):
    inputs = keras.Input(shape=(*img_size, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous_block_activation = x
    for filters in [24, 32]:
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(filters, 1, strides=2, padding="same")(previous_block_activation)
        x = layers.add([x, residual])
        previous_block_activation = x
    for filters in [32, 24, 16]:
        x = layers.Activation("relu")(x)
        x = layers.Conv2DTranspose(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.UpSampling2D(2)(previous_block_activation)
        residual = layers.Conv2D(filters, 1, padding="same")(residual)
        x = layers.add([x, residual])
        previous_block_activation = x
    outputs = layers.Conv2D(num_classes, 3, activation="softmax", padding="same")(x)
    return keras.Model(inputs, outputs)


def main():
    keras.utils.set_random_seed(0)
    model = get_model((32, 32), 3)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy")
    history = model.fit(Pets(16, 320), epochs=4, verbose=2)
    masks = np.argmax(model.predict(Pets(16, 16, seed=9), verbose=0), axis=-1)
    print("classes found", np.unique(masks))
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
