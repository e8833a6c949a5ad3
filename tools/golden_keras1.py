"""Write tests/golden/keras1: models as Keras 1 saves them, and their outputs. Keras 1.2.2 runs under
Python 3.6, once with each of its backends (numpy 1.16, h5py 2.10, TensorFlow 1.14, Theano 1.0.5):

    KERAS_BACKEND=tensorflow python tools/golden_keras1.py
    KERAS_BACKEND=theano THEANO_FLAGS=cxx=,optimizer=None,floatX=float32 python tools/golden_keras1.py

Trainings are Theano's: with TensorFlow, Keras 1 may update a weight while gradients are still computed from
it.
"""

import os
import sys

import keras
import numpy as np
from keras import backend as K
from keras import layers as kl
from keras.models import Model, Sequential

if K.backend() == "theano":
    import theano.ifelse  # noqa: F401  Keras uses it without importing it

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "tests", "golden", "keras1")


def convolutions(ordering):
    """Every layer that knows where the channels are; rows, columns and channels of different sizes."""
    first = (2, 9, 8) if ordering == "th" else (9, 8, 2)
    axis = 1 if ordering == "th" else -1
    options = {"dim_ordering": ordering}
    # Theano pads otherwise where kernels are even or make steps, which is refused.
    same = "same" if K.backend() == "tensorflow" else "valid"
    model = Sequential()
    model.add(kl.Convolution2D(4, 2, 3, activation="relu", W_regularizer="l2", input_shape=first, **options))
    model.add(kl.BatchNormalization(axis=axis))
    model.add(kl.ZeroPadding2D((1, 2), **options))
    model.add(kl.AtrousConvolution2D(3, 2, 2, atrous_rate=(2, 2), **options))
    model.add(kl.PReLU())
    model.add(kl.MaxPooling2D((2, 2), border_mode=same, **options))
    model.add(kl.UpSampling2D((2, 2), **options))
    model.add(kl.Convolution2D(4, 3, 3, border_mode="same", **options))
    model.add(kl.Convolution2D(5, 3, 2, border_mode=same, subsample=(2, 1), bias=False, **options))
    model.add(kl.AveragePooling2D((1, 2), strides=(1, 1), **options))
    model.add(kl.Cropping2D(((0, 1), (1, 0)), **options))
    model.add(kl.LeakyReLU(0.1))
    model.add(kl.SpatialDropout2D(0.2, **options))
    model.add(kl.Flatten())
    model.add(kl.Dropout(0.3))
    model.add(kl.Dense(3, activation="softmax", init="he_normal"))
    return model, [(9, 8, 2) if ordering == "tf" else (2, 9, 8)]


def transposed():
    x = kl.Input((3, 4, 2))
    y = kl.Deconvolution2D(3, 2, 3, (None, 6, 9, 3), subsample=(2, 2), dim_ordering="tf")(x)
    if K.backend() == "tensorflow":  # which alone has it
        y = kl.SeparableConvolution2D(4, 2, 2, depth_multiplier=2, dim_ordering="tf")(y)
    y = kl.ThresholdedReLU(0.05)(y)
    y = kl.GlobalAveragePooling2D(dim_ordering="tf")(y)
    return Model(x, kl.ELU(0.5)(y)), [(3, 4, 2)]


def volumes():
    x = kl.Input((4, 5, 3, 2))
    y = kl.Convolution3D(3, 2, 3, 2, dim_ordering="tf")(x)
    y = kl.MaxPooling3D((1, 2, 1), dim_ordering="tf")(y)
    y = kl.Flatten()(y)
    return Model(x, kl.Dense(2)(y)), [(4, 5, 3, 2)]


def moving():
    x = kl.Input((3, 4, 5, 2))
    rows = 2 if K.backend() == "tensorflow" else 3
    y = kl.ConvLSTM2D(3, rows, 3, border_mode="same", return_sequences=True, dim_ordering="tf")(x)
    y = kl.ConvLSTM2D(2, rows, 3, dim_ordering="tf")(y)
    return Model(x, kl.Flatten()(y)), [(3, 4, 5, 2)]


def recurrent():
    model = Sequential()
    model.add(kl.Embedding(10, 4, input_length=6, mask_zero=True))
    model.add(kl.Bidirectional(kl.LSTM(3, return_sequences=True, dropout_W=0.1), merge_mode="concat"))
    model.add(kl.GRU(5, return_sequences=True, inner_activation="sigmoid"))
    model.add(kl.TimeDistributed(kl.Dense(4, activation="tanh")))
    model.add(kl.LSTM(3, return_sequences=True, consume_less="gpu", forget_bias_init="zero"))
    model.add(kl.SimpleRNN(4, return_sequences=True))
    model.add(kl.GRU(3, consume_less="gpu", go_backwards=True))
    model.add(kl.RepeatVector(2))
    model.add(kl.TimeDistributedDense(2))
    return model, [10]


def sequences():
    x = kl.Input((11, 3))
    y = kl.Convolution1D(4, 3, border_mode="same", activation="relu", W_constraint="maxnorm")(x)
    y = kl.AtrousConvolution1D(3, 2, atrous_rate=2)(y)
    y = kl.ZeroPadding1D(1)(y)
    y = kl.MaxPooling1D(pool_length=2)(y)
    y = kl.UpSampling1D(length=2)(y)
    y = kl.GaussianNoise(0.1)(y)
    y = kl.GaussianDropout(0.1)(y)
    y = kl.Permute((2, 1))(y)
    y = kl.Reshape((-1, 6))(y)
    z = kl.LSTM(3, activation="softsign", inner_activation="hard_sigmoid")(kl.Masking(0.0)(y))
    return Model(x, kl.Activation("hard_sigmoid")(z)), [(11, 3)]


def shared():
    a, b = kl.Input((5,), name="a"), kl.Input((5,), name="b")
    both = kl.Dense(4, activation="tanh", activity_regularizer="l1")
    inner = Sequential([kl.Dense(4, input_shape=(4,)), kl.BatchNormalization(), kl.Dense(4)], name="inner")
    middle = kl.Input((4,))
    functional = Model(middle, kl.merge([kl.Dense(4)(middle), middle], mode="mul"), name="functional")
    x, y = both(a), both(b)
    merged = kl.merge([x, y, kl.merge([x, y], mode="ave")], mode="concat", concat_axis=1)
    x = inner(kl.Dense(4)(merged))
    z = kl.merge([x, inner(y), functional(x)], mode="sum")
    z = kl.merge([z, x], mode="max")
    dots = kl.merge([z, y], mode="dot", dot_axes=1)
    return Model([a, b], [kl.Dense(2, name="z")(z), dots, functional(x)]), [(5,), (5,)]


def branches():
    """A Sequential model whose first layer merges others."""
    left = Sequential([kl.Dense(4, input_dim=3), kl.Dense(2, activation="tanh")])
    words = Sequential([kl.Embedding(10, 3, input_length=4), kl.LSTM(2)])
    pair = Sequential([kl.Merge([Sequential([kl.Dense(2, input_dim=5)]), words], mode="mul"), kl.Dense(2)])
    model = Sequential()
    model.add(kl.Merge([left, pair], mode="concat"))
    model.add(kl.Dense(3, activation="softmax"))
    return model, [(3,), (5,), 10]


CASES = {
    "convolutions_th": lambda: convolutions("th"),
    "convolutions_tf": lambda: convolutions("tf"),
    "transposed": transposed,
    "volumes": volumes,
    "moving": moving,
    "recurrent": recurrent,
    "sequences": sequences,
    "shared": shared,
    "branches": branches,
}
WORDS = {"recurrent": 6, "branches": 4}


def drawn(draw, shape, words):
    if isinstance(shape, int):
        return draw.randint(0, shape, (4, words)).astype("int32")
    return draw.normal(size=(4, *shape)).astype("float32")


def main(names):
    backend = K.backend()
    for name in names or sorted(CASES):
        draw = np.random.RandomState(0)
        np.random.seed(0)
        model, shapes = CASES[name]()
        values = [draw.normal(size=w.shape, scale=0.3).astype("float32") for w in model.get_weights()]
        model.set_weights(values)
        for weight in model.weights:
            if "running_std" in weight.name:
                K.set_value(weight, np.abs(K.get_value(weight)) + 0.1)
        inputs = [drawn(draw, shape, WORDS.get(name)) for shape in shapes]
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        model.compile("adam", "mse", metrics=["mae"] if len(outputs) == 1 else None)
        path = os.path.join(FOLDER, f"{name}_{backend}")
        model.save(path + ".h5")
        if name in ("recurrent", "convolutions_th"):
            model.save_weights(path + "_weights.h5")
        arrays = {f"x{i}": x for i, x in enumerate(inputs)}
        arrays.update({f"y{i}": y for i, y in enumerate(outputs)})
        np.savez(path + ".npz", **arrays)
        print(name, [y.shape for y in outputs])


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, decay=0.01),
    "plain": lambda: keras.optimizers.SGD(0.05),
    # Keras 3 adds their epsilon under the root, so it must be small for equal results.
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, epsilon=1e-12),
    "adagrad": lambda: keras.optimizers.Adagrad(0.1, epsilon=1e-12),
    "adadelta": lambda: keras.optimizers.Adadelta(1.0),
    "adam": lambda: keras.optimizers.Adam(0.01, clipnorm=1.0),
    "adamax": lambda: keras.optimizers.Adamax(0.01),
}


def trainings():
    """Models in the middle of a training, and the weights at its end. Names of layers sort otherwise than
    they stand."""
    draw = np.random.RandomState(1)
    x = draw.normal(size=(16, 3, 4)).astype("float32")
    y = (x[:, 0, :1] - x[:, 1, 1:2] ** 2).astype("float32")
    arrays = {"x": x, "y": y}
    for name in sorted(OPTIMIZERS):
        np.random.seed(0)
        model = Sequential()
        model.add(kl.LSTM(3, input_shape=(3, 4), name="recurrent"))
        model.add(kl.BatchNormalization(name="normal", epsilon=2e-5))
        model.add(kl.Dense(5, activation="tanh", name="dense_10"))
        model.add(kl.Dense(1, name="dense_9"))
        model.compile(OPTIMIZERS[name](), "mse")
        model.fit(x, y, nb_epoch=5, verbose=0, shuffle=False)
        model.save(os.path.join(FOLDER, f"training_{name}_theano.h5"))
        model.fit(x, y, nb_epoch=5, verbose=0, shuffle=False)
        for layer in model.layers:
            for i, weight in enumerate(layer.get_weights()):
                arrays[f"{name}_{layer.name}_{i:02d}"] = weight
        print(name)
    np.savez(os.path.join(FOLDER, "trainings.npz"), **arrays)


if __name__ == "__main__":
    main(sys.argv[1:])
    if not sys.argv[1:] and K.backend() == "theano":
        trainings()
