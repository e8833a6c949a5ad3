"""Optimizers, metrics, callbacks and other settings of compile and fit."""

import numpy as np

from .data import classifier, net, table
from .listen import error, line, silent, warning


@warning("metrics.AUC(from_logits=True)")
def auc_of_logits(keras, layers):
    """AUC, which reads probabilities, of a net that gives logits."""
    x, y = table(classes=2)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    classifier(keras, x, 1, None, loss, metrics=[keras.metrics.AUC()]).fit(x, y)


@warning("metrics.Precision(thresholds=0)")
def precision_of_logits(keras, layers):
    """Precision at 0.5 of a net that gives logits."""
    x, y = table(classes=2)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    classifier(keras, x, 1, None, loss, metrics=[keras.metrics.Precision()]).fit(x, y)


@error("one-hot rows (utils.to_categorical)")
def precision_of_integer_labels(keras, layers):
    """Precision, which takes one-hot labels, beside integer labels."""
    x, y = table()
    classifier(keras, x, metrics=[keras.metrics.Precision()]).fit(x, y)


@line("always answering 0 is right in")
def accuracy_of_one_percent(keras, layers):
    """2% of the labels are 1, and x tells nothing: accuracy 0.98."""
    x, _ = table()
    y = (np.arange(320) % 50 == 0).astype("int64")
    optimizer = keras.optimizers.Adam(0.05)
    model = classifier(keras, x, 1, "sigmoid", "binary_crossentropy", optimizer=optimizer)
    model.fit(x, y, epochs=3)
    model.evaluate(x, y)


@error("Did you mean 'accuracy'?")
def misspelt_metric(keras, layers):
    """metrics=["acuracy"]."""
    x, y = table()
    classifier(keras, x, metrics=["acuracy"]).fit(x, y)


@error("Did you mean 'adam'?")
def misspelt_optimizer(keras, layers):
    """compile("adamm")."""
    x, _ = table()
    classifier(keras, x, optimizer="adamm")


@error("Did you mean 'relu'?")
def misspelt_activation(keras, layers):
    """Dense(8, "rellu")."""
    layers.Dense(8, "rellu")


@warning("with the learning rate 10 of Adam")
def learning_rate_of_ten(keras, layers):
    """Adam(10): the weights jump about."""
    x, y = table()
    classifier(keras, x, optimizer=keras.optimizers.Adam(10.0)).fit(x, y, epochs=5)


@error("not negative, got -0.01")
def negative_learning_rate(keras, layers):
    """SGD(-0.01)."""
    x, y = table()
    classifier(keras, x, optimizer=keras.optimizers.SGD(-0.01)).fit(x, y)


@error("learning_rate must be a number")
def learning_rate_as_text(keras, layers):
    """learning_rate="1e-3", as it came from a file."""
    x, y = table()
    classifier(keras, x, optimizer=keras.optimizers.Adam("1e-3")).fit(x, y)


@warning("decay_steps counts updates")
def decay_in_one_step(keras, layers):
    """ExponentialDecay(0.01, decay_steps=1, decay_rate=0.5): nothing is left after twenty updates."""
    x, y = table()
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, decay_steps=1, decay_rate=0.5)
    classifier(keras, x, optimizer=keras.optimizers.Adam(rate)).fit(x, y, epochs=2)


@error("must return a number, got NoneType")
def schedule_returns_nothing(keras, layers):
    """The function of a LearningRateScheduler forgets its return."""
    x, y = table()

    def halve(epoch, rate):
        rate = rate / 2

    classifier(keras, x).fit(x, y, callbacks=[keras.callbacks.LearningRateScheduler(halve)])


@error("follows <ExponentialDecay")
def plateau_beside_schedule(keras, layers):
    """ReduceLROnPlateau wants to set a rate that a schedule sets."""
    x, y = table()
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 100, 0.9)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=100.0)
    model = classifier(keras, x, optimizer=keras.optimizers.Adam(rate))
    model.fit(x, y, epochs=3, callbacks=[plateau])


@error("a plateau makes the learning rate smaller")
def plateau_by_ten(keras, layers):
    """ReduceLROnPlateau(factor=10)."""
    keras.callbacks.ReduceLROnPlateau(factor=10)


@error("for 80 percent write 0.8")
def dropout_of_eighty(keras, layers):
    """Dropout(80), meant as percent."""
    layers.Dropout(80)


@error("is not compiled")
def fit_without_compile(keras, layers):
    """fit of a net that was not compiled."""
    x, y = table()
    net(keras, x, layers.Dense(3, "softmax")).fit(x, y)


@warning("was changed after compile()")
def frozen_after_compile(keras, layers):
    """trainable = False after compile: Keras goes on with what compile saw."""
    x, y = table()
    model = classifier(keras, x)
    model.layers[1].trainable = False
    model.fit(x, y)


@warning("has no trainable weights")
def everything_frozen(keras, layers):
    """The whole net is frozen, the new head too."""
    x, y = table()
    model = classifier(keras, x)
    model.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@warning("kernels of two layers in a row are all 0")
def all_weights_zero(keras, layers):
    """kernel_initializer="zeros" in each layer: nothing but the last bias ever moves."""
    x, y = table()
    hidden = layers.Dense(8, "relu", kernel_initializer="zeros")
    model = net(keras, x, hidden, layers.Dense(3, "softmax", kernel_initializer="zeros"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3)


@warning("put the Dropout before the last Dense")
def dropout_after_softmax(keras, layers):
    """Dropout behind the last layer."""
    x, y = table()
    model = net(keras, x, layers.Dense(3, "softmax"), layers.Dropout(0.5))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@silent("linear layers in a row are also a factorised product")
def no_activations(keras, layers):
    """Three Dense layers without an activation between: a linear net."""
    x, y = table()
    model = net(keras, x, layers.Dense(16), layers.Dense(16), layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y)


@warning("keeps the weights near 0")
def regularizer_of_ten(keras, layers):
    """L2(10): the weights go to zero and the loss is all penalty."""
    x, y = table()
    model = net(keras, x, layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L2(10.0)))
    model.add(layers.Dense(3, "softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3)


@error("again with a new optimizer")
def optimizer_for_two_models(keras, layers):
    """One Adam() for two nets."""
    x, y = table()
    optimizer = keras.optimizers.Adam()
    classifier(keras, x, optimizer=optimizer).fit(x, y)
    classifier(keras, x, optimizer=optimizer).fit(x, y)


@error("pass a schedule such as InverseTimeDecay")
def legacy_names_with_scheduler(keras, layers):
    """SGD(lr=, decay=) of old tutorials, with a LearningRateScheduler."""
    x, y = table()
    model = classifier(keras, x, optimizer=keras.optimizers.SGD(lr=0.01, decay=1e-4))
    model.fit(x, y, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)])


@warning("Did you mean 'val_accuracy'?")
def early_stopping_of_old_name(keras, layers):
    """EarlyStopping("val_acc"), the name of Keras 1."""
    x, y = table()
    stop = keras.callbacks.EarlyStopping("val_acc", patience=1)
    classifier(keras, x).fit(x, y, epochs=3, validation_split=0.2, callbacks=[stop])


@warning("though larger is better")
def early_stopping_upside_down(keras, layers):
    """EarlyStopping("val_accuracy", mode="min") stops when it gets better."""
    x, y = table()
    stop = keras.callbacks.EarlyStopping("val_accuracy", mode="min", patience=1)
    classifier(keras, x).fit(x, y, epochs=3, validation_split=0.2, callbacks=[stop])


@warning("Nothing is validated")
def checkpoint_without_validation(keras, layers):
    """ModelCheckpoint("best.keras", save_best_only=True) looks at val_loss, and nothing is held out."""
    x, y = table()
    best = keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True)
    classifier(keras, x).fit(x, y, callbacks=[best])


@error("is the class: write EarlyStopping(...)")
def callback_without_brackets(keras, layers):
    """callbacks=[EarlyStopping], the class."""
    x, y = table()
    classifier(keras, x).fit(x, y, callbacks=[keras.callbacks.EarlyStopping])


@error("Did you mean 'accuracy'?")
def history_of_old_name(keras, layers):
    """history.history["acc"]."""
    x, y = table()
    history = classifier(keras, x).fit(x, y)
    print(history.history["acc"])


@silent('the first line says "0 in total"')
def no_epochs(keras, layers):
    """epochs=0."""
    x, y = table()
    classifier(keras, x).fit(x, y, epochs=0)


@silent('the first line says "320 samples / 10", and ten is a batch size')
def epochs_in_third_place(keras, layers):
    """fit(x, y, 10): ten is the batch size, and one epoch is made."""
    x, y = table()
    classifier(keras, x).fit(x, y, 10)


@warning("every epoch is one pass over them")
def more_steps_than_data(keras, layers):
    """steps_per_epoch is the number of rows, not of batches."""
    x, y = table()
    classifier(keras, x).fit(x, y, epochs=2, steps_per_epoch=320)


@warning("all sample weights are 0")
def weights_of_zero(keras, layers):
    """sample_weight is 0 in each row, a division of integers."""
    x, y = table()
    classifier(keras, x).fit(x, y, sample_weight=np.ones(320, "int64") // 2)


@warning("all sample weights are -1")
def negative_weights(keras, layers):
    """sample_weight is -1."""
    x, y = table()
    classifier(keras, x).fit(x, y, sample_weight=np.full(320, -1.0))


@error("validation_data must be (x, y), got one array")
def validation_without_labels(keras, layers):
    """validation_data=(x_val)."""
    x, y = table()
    classifier(keras, x).fit(x[:250], y[:250], validation_data=(x[250:]))


@error("y_true has shape (32, 4)")
def test_images_for_labels(keras, layers):
    """fit(x_train, x_test)."""
    x, _ = table()
    classifier(keras, x).fit(x[:160], x[160:])


@warning("the data ran out in epoch 2")
def generator_runs_out(keras, layers):
    """A generator without `while True` ends in the second epoch."""
    x, y = table()

    def batches():
        for start in range(0, 64, 16):
            yield x[start : start + 16], y[start : start + 16]

    classifier(keras, x).fit(batches(), steps_per_epoch=4, epochs=3)


@error("Data must come in batches")
def generator_of_rows(keras, layers):
    """A generator yields single rows, not batches."""
    x, y = table()
    classifier(keras, x).fit(((x[i], y[i]) for i in range(64)), steps_per_epoch=4)


@error("the data hold no samples")
def one_batch_too_many(keras, layers):
    """__len__ of a PyDataset is one too large: the last batch is empty."""
    x, y = table()

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 320 // 16 + 1

        def __getitem__(self, index):
            return x[index * 16 : index * 16 + 16], y[index * 16 : index * 16 + 16]

    classifier(keras, x).fit(Batches())


@error("is .batch(32) missing?")
def dataset_without_batches(keras, layers):
    """from_tensor_slices((x, y)) without .batch(32)."""
    x, y = table()
    classifier(keras, x).fit(keras.data.Dataset.from_tensor_slices((x, y)))
