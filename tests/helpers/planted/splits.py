"""Training, validation and test data that are not what they seem."""

import numpy as np
import pandas as pd

from .data import classifier, houses, images, regressor, table
from .listen import error, line, silent, warning


@warning("neighbors in these data are nearly equal")
def augmented_copies_before_split(keras, layers):
    """Each image four times with a little noise, then validation_split."""
    x, y = images()
    x = np.repeat(x, 4, axis=0)
    x += np.random.default_rng(0).normal(0, 0.01, x.shape).astype("float32")
    classifier(keras, x).fit(x, np.repeat(y, 4), validation_split=0.2)


@warning("neighbors in these data are nearly equal")
def windows_before_split(keras, layers):
    """Overlapping windows of a series, then validation_split."""
    series = np.cumsum(np.random.default_rng(0).normal(size=600)).astype("float32") / 10
    x = np.lib.stride_tricks.sliding_window_view(series, 30)[:-1, :, None]
    regressor(keras, x).fit(x, series[30:], validation_split=0.2)


@silent("not yet: only some rows are copies, and not beside each other")
def oversampled_before_split(keras, layers):
    """The rare class is repeated five times, then validation_split."""
    x, y = table()
    x, y = np.concatenate([x, *[x[y == 2]] * 4]), np.concatenate([y, *[y[y == 2]] * 4])
    classifier(keras, x).fit(x, y, validation_split=0.2)


@warning("validation_data whose samples are in the training data")
def validation_rows_in_training(keras, layers):
    """validation_data=(x[:100], y[:100]), and training on all of x."""
    x, y = table()
    classifier(keras, x).fit(x, y, validation_data=(x[:100], y[:100]))


@silent("to compare the score of training rows with that of others is right")
def evaluate_on_training_rows(keras, layers):
    """The "test" accuracy is measured on rows that were trained on."""
    x, y = table()
    model = classifier(keras, x)
    model.fit(x[:200], y[:200])
    model.evaluate(x[100:], y[100:])


@silent("to evaluate on training rows is right, and a number does not say what it is for")
def folds_share_a_model(keras, layers):
    """Cross-validation goes on with the same model in each fold."""
    x, y = table()
    model = classifier(keras, x)
    for fold in np.arange(320).reshape(2, 160):
        held_out = np.isin(np.arange(320), fold)
        model.fit(x[~held_out], y[~held_out])
        model.evaluate(x[held_out], y[held_out])


@warning("evaluate() got the data that fit() was given as validation_data")
def test_set_as_validation(keras, layers):
    """EarlyStopping looks at the test set, and evaluate reports it as unseen."""
    x, y = table()
    model = classifier(keras, x)
    stop = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    model.fit(x[:200], y[:200], validation_data=(x[200:], y[200:]), epochs=2, callbacks=[stop])
    model.evaluate(x[200:], y[200:])


@silent("not yet: validation_data of a class that training lacks")
def split_of_sorted_labels(keras, layers):
    """Rows are sorted by class; the last third, all of class 2, is held out by a slice."""
    x, y = images()
    order = np.argsort(y)
    x, y = x[order], y[order]
    classifier(keras, x).fit(x[:200], y[:200], validation_data=(x[200:], y[200:]))


@line("always answering 0 is right in")
def x_shuffled_without_y(keras, layers):
    """np.random.shuffle(x), and y stays as it was."""
    x, y = images()
    np.random.default_rng(0).shuffle(x)
    classifier(keras, x).fit(x, y, epochs=5)


@warning("write y.loc[x.index]")
def frame_shuffled_without_series(keras, layers):
    """frame.sample(frac=1) for x, and y in the old order: pandas knows both indexes."""
    x, y = table()
    x, y = pd.DataFrame(x, columns=list("abcd")).sample(frac=1, random_state=0), pd.Series(y)
    classifier(keras, x).fit(x, y)


@silent("not yet: a column of x is y; data.look says it")
def target_column_in_x(keras, layers):
    """x = frame, with the column "price" that is to be predicted."""
    x, y = houses()
    x = np.column_stack([x, y])
    regressor(keras, x).fit(x, y)


@silent("not yet: a column of x tells y; data.look says it")
def answer_column_in_x(keras, layers):
    """The fee of those who left is a column of x: it is 20 if y is 1, else 0."""
    x, _ = table()
    y = np.random.default_rng(0).integers(0, 2, 320)
    x = np.column_stack([x, 20.0 * y])
    classifier(keras, x, 1, "sigmoid", "binary_crossentropy").fit(x, y)


@silent("not yet: a column that never repeats; data.look says it")
def number_of_row_as_feature(keras, layers):
    """customer_id, 1, 2, 3, ..., is a column of x."""
    x, y = table()
    x = np.column_stack([np.arange(1, 321), x]).astype("float32")
    classifier(keras, x).fit(x, y)


@silent("what NumPy computed before is not in the numbers")
def statistics_of_test_rows(keras, layers):
    """x is standardized with mean and deviation of all rows, then split."""
    x, y = table()
    x = (x - x.mean(0)) / x.std(0)
    model = classifier(keras, x)
    model.fit(x[:200], y[:200])
    model.evaluate(x[200:], y[200:])


@warning("reshuffle_each_iteration=False")
def reshuffled_parts(keras, layers):
    """dataset.shuffle(n), then take and skip as training and validation: each pass draws anew."""
    x, y = table()
    rows = keras.data.Dataset.from_tensor_slices((x, y)).shuffle(320)
    model = classifier(keras, x)
    model.fit(rows.take(200).batch(32), validation_data=rows.skip(200).batch(32))


@warning("new order in every pass")
def predictions_of_a_reshuffled_dataset(keras, layers):
    """predict(dataset) beside labels that were read from it: two orders."""
    x, y = table()
    rows = keras.data.Dataset.from_tensor_slices((x, y)).shuffle(320).batch(32)
    model = classifier(keras, x)
    model.fit(rows)
    labels = np.concatenate([labels for _, labels in rows.as_numpy_iterator()])
    print((model.predict(rows).argmax(1) == labels).mean())


@error("validation_split needs arrays in memory")
def validation_split_of_a_generator(keras, layers):
    """validation_split=0.2 with a PyDataset."""
    x, y = table()

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return x[index * 32 : index * 32 + 32], y[index * 32 : index * 32 + 32]

    classifier(keras, x).fit(Batches(), validation_split=0.2)
