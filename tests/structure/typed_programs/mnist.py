"""A program with Keras's names: data, a model, training, saving."""

import hornbeam as keras
from hornbeam import layers, ops
from hornbeam.callbacks import EarlyStopping

(x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
y = keras.utils.to_categorical(y, 10)
model = keras.models.Sequential(
    [
        keras.Input((28, 28)),
        layers.Rescaling(1 / 255),
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(8, (3, 3), padding="same", kernel_regularizer=keras.regularizers.L2(1e-4)),
        layers.MaxPool2D(),
        layers.Flatten(),
        layers.Dense(20, "relu", name="hidden", dtype="float32", trainable=False, input_shape=(None,)),
        layers.Dropout(0.5, seed=1, name="dropout"),
        layers.Dense(10, activation=keras.activations.softmax, kernel_initializer="he_normal"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100)),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(3)],
)
history = model.fit(x, y, epochs=2, validation_split=0.1, callbacks=[EarlyStopping(patience=2)])
best: float = max(history.history["val_accuracy"])

loss, accuracy, top = model.evaluate(x_test, y_test)
scores: dict[str, float] = model.evaluate(x_test, y_test, return_dict=True)
model.optimizer.learning_rate = 1e-4
classes = model.predict(x_test).argmax(axis=-1)
model.save_weights("model.weights.h5")
reshaped = keras.applications.resnet.preprocess_input(x_test)
network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
network.trainable = False
data = keras.data.Dataset.from_tensor_slices((x, y)).shuffle(100).batch(32)
model.fit(data, validation_data=(x_test, y_test), class_weight={0: 2.0})

inputs = keras.Input(shape=(4,), dtype="float32", name="four")
outputs = layers.Dense(1)(layers.concatenate([inputs, ops.square(inputs)]))
functional = keras.Model(inputs=inputs, outputs=outputs, name="small")
functional.compile("sgd", "mse")
functional.summary()
functional.save("model.keras")
restored = keras.models.load_model("model.keras")
restored.predict(x_test)
features = keras.Model(restored.inputs, restored.get_layer("dense").output)
several = keras.Model([inputs], {"a": outputs, "b": features(inputs)})
several.compile("adam", loss={"a": "mse", "b": keras.losses.Huber()}, loss_weights={"a": 0.5, "b": 1.0})


class Scale(layers.Layer):
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(shape=(1,), initializer="ones", name="factor")

    def call(self, x: keras.KerasTensor) -> keras.Tensor:
        return ops.multiply(x, self.factor)


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and logs["loss"] < 0.1:
            self.model.stop_training = True
