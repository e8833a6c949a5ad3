"""Files: what is saved, and what comes back."""

from .data import classifier, net, table
from .listen import error, silent, warning


@error("no weight of the file fits the model")
def weights_of_another_net(keras, layers):
    """load_weights(skip_mismatch=True) where nothing fits: the net stays random."""
    x, _ = table()
    classifier(keras, x, 5).save_weights("a.weights.h5")
    net(keras, x, layers.Dense(7), layers.Dense(2)).load_weights("a.weights.h5", skip_mismatch=True)


@warning("weights loaded: 2; left out")
def weights_fit_in_part(keras, layers):
    """load_weights(skip_mismatch=True) with a head of other size, which stays random."""
    x, _ = table()
    classifier(keras, x, 5).save_weights("a.weights.h5")
    classifier(keras, x, 3).load_weights("a.weights.h5", skip_mismatch=True)


@error("the file has shape (8, 3)")
def weights_of_other_shape(keras, layers):
    """load_weights into a net with more units."""
    x, _ = table()
    classifier(keras, x, 3).save_weights("a.weights.h5")
    classifier(keras, x, 5).load_weights("a.weights.h5")


@silent("Keras's files name layers by class and order")
def weights_of_swapped_layers(keras, layers):
    """Layers "one", "two" of the same shape were renamed in the code before load_weights."""
    x, _ = table()
    one, two = (layers.Dense(4, name=name) for name in ("one", "two"))
    net(keras, x, one, two).save_weights("a.weights.h5")
    two, one = (layers.Dense(4, name=name) for name in ("two", "one"))
    net(keras, x, two, one).load_weights("a.weights.h5")


@error("contains weights and no model")
def weights_file_as_model(keras, layers):
    """load_model of a file of weights."""
    x, _ = table()
    classifier(keras, x).save_weights("a.weights.h5")
    keras.models.load_model("a.weights.h5")


@warning("model.save_weights('weights.weights.h5')")
def weights_without_their_ending(keras, layers):
    """save_weights("weights.h5")."""
    x, _ = table()
    classifier(keras, x).save_weights("weights.h5")


@error("build it or call it on data before loading weights")
def weights_before_build(keras, layers):
    """load_weights into a Sequential that does not know its input."""
    x, _ = table()
    classifier(keras, x).save_weights("a.weights.h5")
    model = keras.Sequential([layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.load_weights("a.weights.h5")


@error("Did you mean 'model.keras'?")
def missing_file(keras, layers):
    """load_model("modle.keras")."""
    x, _ = table()
    classifier(keras, x).save("model.keras")
    keras.models.load_model("modle.keras")


@error("pass custom_objects={name: class}")
def own_layer_unknown_on_load(keras, layers):
    """load_model without custom_objects."""
    x, _ = table()

    class Double(layers.Layer):
        def call(self, x):
            return 2 * x

    net(keras, x, Double()).save("a.keras")
    keras.models.load_model("a.keras")


@error("code is never stored in a file")
def lambda_on_load(keras, layers):
    """load_model of a net with a Lambda."""
    x, _ = table()
    net(keras, x, layers.Lambda(lambda x: 2 * x)).save("a.keras")
    keras.models.load_model("a.keras")
