"""Right programs with own code, settings, data sources and files."""

import numpy as np

from .data import classifier, houses, net, regressor, table
from .listen import right


@right
def own_layer(keras, layers):
    """build, get_config, saved and loaded."""
    x, y = table()

    class Scale(layers.Layer):
        def __init__(self, start=1.0, **settings):
            super().__init__(**settings)
            self.start = start

        def build(self, shape):
            self.scale = self.add_weight(
                shape=(shape[-1],), initializer=keras.initializers.Constant(self.start)
            )

        def call(self, x):
            return x * self.scale

        def get_config(self):
            return {**super().get_config(), "start": self.start}

    model = net(keras, x, Scale(2.0), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)
    model.save("own.keras")
    keras.models.load_model("own.keras", custom_objects={"Scale": Scale}).predict(x[:2])


@right
def own_layer_of_layers(keras, layers):
    """No get_config: the arguments of __init__ are known."""
    x, _ = table()

    class Block(layers.Layer):
        def __init__(self, units, **settings):
            super().__init__(**settings)
            self.units = units
            self.parts = [layers.Dense(units, "relu"), layers.Dropout(0.1)]

        def call(self, x, training=False):
            for part in self.parts:
                x = part(x, training=training) if isinstance(part, layers.Dropout) else part(x)
            return x

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    model = net(keras, x, Block(3))
    model.save("block.keras")
    keras.models.load_model("block.keras", custom_objects={"Block": Block})


@right
def own_model(keras, layers):
    """A subclass with call(), its input known from the data."""
    x, y = table()

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.last = layers.Dense(8, "relu"), layers.Dense(3, "softmax")

        def call(self, x):
            return self.last(self.hidden(x))

    model = Net()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y)
    model.evaluate(x, y)


@right
def own_loss(keras, layers):
    """Errors below count three times those above."""
    x, y = houses()

    def lopsided(y, p):
        return keras.ops.mean(keras.ops.where(y > p, 3.0, 1.0) * keras.ops.abs(y - p), -1)

    regressor(keras, x, loss=lopsided).fit(x, y)


@right
def quantiles(keras, layers):
    """Three quantiles for one target: the shapes differ on purpose."""
    x, y = houses()

    def pinball(y, p):
        quantile = keras.ops.array([0.1, 0.5, 0.9])
        return keras.ops.mean(keras.ops.maximum(quantile * (y - p), (quantile - 1) * (y - p)), -1)

    classifier(keras, x, 3, None, pinball, metrics=[]).fit(x, y[:, None])


@right
def mean_and_deviation(keras, layers):
    """A Gaussian likelihood: two units, one target, and a negative loss."""
    x, y = houses()

    def likelihood(y, p):
        return keras.ops.mean(p[:, 1:] + (y - p[:, :1]) ** 2 * keras.ops.exp(-2 * p[:, 1:]) / 2)

    classifier(keras, x, 2, None, likelihood, metrics=[]).fit(x, y[:, None] / 100)


@right
def own_metric(keras, layers):
    """A function as a metric."""
    x, y = houses()

    def near(y, p):
        return keras.ops.mean(keras.ops.cast(keras.ops.abs(y - p) < 0.5, "float32"))

    regressor(keras, x, metrics=[near]).fit(x, y)


@right
def own_metric_class(keras, layers):
    """A Metric with state."""
    x, y = table()

    class Confident(keras.metrics.Metric):
        def __init__(self, **settings):
            super().__init__(**settings)
            self.total = self.add_weight(name="total", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y, p, sample_weight=None):
            self.total.assign(self.total + keras.ops.sum(keras.ops.max(p, -1)))
            self.count.assign(self.count + keras.ops.cast(keras.ops.shape(p)[0], "float32"))

        def result(self):
            return self.total / self.count

    classifier(keras, x, metrics=[Confident()]).fit(x, y)


@right
def own_callback(keras, layers):
    """Notes a prediction after each epoch."""
    x, y = table()
    seen = []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.predict(x[:1], verbose=0))

    classifier(keras, x).fit(x, y, epochs=2, callbacks=[Note()])


@right
def own_schedule(keras, layers):
    """Warm-up, then a cosine; LearningRateScheduler in another fit."""
    x, y = table()
    rate = keras.optimizers.schedules.CosineDecay(0.0, 100, warmup_target=0.01, warmup_steps=10)
    classifier(keras, x, optimizer=keras.optimizers.Adam(rate)).fit(x, y, epochs=2)
    warm = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0 if epoch == 0 else 0.01)
    classifier(keras, x).fit(x, y, epochs=2, callbacks=[warm])


@right
def the_usual_callbacks(keras, layers):
    """EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, CSVLogger."""
    x, y = table()
    callbacks = [
        keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=5, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(patience=2),
        keras.callbacks.CSVLogger("log.csv"),
    ]
    classifier(keras, x).fit(x, y, epochs=2, validation_split=0.2, callbacks=callbacks)
    keras.models.load_model("best.keras").predict(x[:2])


@right
def stop_at_the_loss(keras, layers):
    """EarlyStopping("loss"), nothing held out."""
    x, y = table()
    classifier(keras, x).fit(x, y, epochs=2, callbacks=[keras.callbacks.EarlyStopping("loss", patience=3)])


@right
def weights_of_a_loss_to_zero(keras, layers):
    """SGD with a rate of 1 on a small linear net."""
    x, y = table()
    model = net(keras, x, layers.Dense(3, "softmax"))
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model.fit(x, y)


@right
def regularized(keras, layers):
    """L2(1e-3), dropout, a constraint, clipnorm."""
    x, y = table()
    hidden = layers.Dense(
        8, "relu", kernel_regularizer=keras.regularizers.L2(1e-3), kernel_constraint="max_norm"
    )
    model = net(keras, x, hidden, layers.Dropout(0.3), layers.Dense(3, "softmax"))
    model.compile(keras.optimizers.AdamW(1e-3, clipnorm=1.0), "sparse_categorical_crossentropy")
    model.fit(x, y)


@right
def a_linear_bottleneck(keras, layers):
    """Two linear layers on purpose: a factorised product."""
    x, y = table()
    model = net(
        keras, x, layers.Dense(2, use_bias=False), layers.Dense(8), layers.ReLU(), layers.Dense(3, "softmax")
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@right
def random_predictions(keras, layers):
    """Dropout in use: the spread of ten calls with training=True."""
    x, y = table()
    model = net(keras, x, layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)
    np.std([model(x[:4], training=True) for _ in range(10)], 0)


@right
def own_training_step(keras, layers):
    """train_on_batch in a loop over shuffled rows."""
    x, y = table()
    model = classifier(keras, x)
    generator = np.random.default_rng(0)
    for _ in range(3):
        rows = generator.choice(320, 32, replace=False)
        model.train_on_batch(x[rows], y[rows])
    model.test_on_batch(x, y)


@right
def endless_generator(keras, layers):
    """while True with steps_per_epoch, and validation_steps."""
    x, y = table()

    def batches():
        generator = np.random.default_rng(0)
        while True:
            rows = generator.choice(320, 32)
            yield x[rows], y[rows]

    model = classifier(keras, x)
    model.fit(batches(), steps_per_epoch=5, epochs=2, validation_data=batches(), validation_steps=2)


@right
def py_dataset(keras, layers):
    """Batches by index, the last one smaller."""
    x, y = table(300)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return -(-300 // 32)

        def __getitem__(self, index):
            return x[index * 32 : (index + 1) * 32], y[index * 32 : (index + 1) * 32]

    model = classifier(keras, x)
    model.fit(Batches(), epochs=2)
    model.evaluate(Batches())
    model.predict(Batches())


@right
def fewer_steps_than_data(keras, layers):
    """steps_per_epoch=3 of ten batches: short epochs."""
    x, y = table()
    classifier(keras, x).fit(x, y, steps_per_epoch=3, epochs=2)


@right
def one_large_batch(keras, layers):
    """batch_size above the number of rows."""
    x, y = table()
    classifier(keras, x).fit(x, y, batch_size=1000, epochs=2)


@right
def trained_twice(keras, layers):
    """fit goes on with another fit, initial_epoch as documented."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y, epochs=2)
    model.fit(x, y, epochs=4, initial_epoch=2)


@right
def a_net_for_each_fold(keras, layers):
    """Cross-validation with a new net for each fold."""
    x, y = table()
    for fold in np.arange(320).reshape(2, 160):
        held_out = np.isin(np.arange(320), fold)
        model = classifier(keras, x)
        model.fit(x[~held_out], y[~held_out])
        model.evaluate(x[held_out], y[held_out])


@right
def evaluate_after_validation_split(keras, layers):
    """A validation split for the choice, the test rows for the end, and the training score to compare."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x[:250], y[:250], validation_split=0.2)
    model.evaluate(x[:250], y[:250])
    model.evaluate(x[250:], y[250:])


@right
def weights_to_a_like_net(keras, layers):
    """save_weights and load_weights between equal nets, and copies by set_weights."""
    x, y = table()
    one, two = classifier(keras, x), classifier(keras, x)
    one.fit(x, y)
    one.save_weights("one.weights.h5")
    two.load_weights("one.weights.h5")
    two.set_weights(one.get_weights())
    np.testing.assert_array_equal(one.predict(x), two.predict(x))


@right
def saved_and_trained_on(keras, layers):
    """save, load_model, fit again: optimizer and loss come back."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x, y)
    model.save("model.keras")
    again = keras.models.load_model("model.keras")
    again.fit(x, y)
    again.evaluate(x, y)


@right
def head_of_other_size(keras, layers):
    """A body shared by two nets: the second has a new head of five classes."""
    x, y = table()
    body = net(keras, x, layers.Dense(8, "relu"))
    for units in (3, 5):
        model = keras.Sequential([keras.Input((4,)), body, layers.Dense(units, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y)
