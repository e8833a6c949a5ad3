"""scikit-keras: estimators of scikit-learn over models of Keras."""

import keras
import numpy as np
from skkeras import KerasClassifier, KerasRegressor
from sklearn.model_selection import cross_val_score

x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
y = x @ np.array([1.0, 2.0, 3.0], "float32")
hidden = keras.layers.Dense(8, activation="relu")
regressor = KerasRegressor(hidden=hidden, epochs=5, verbose=0)
regressor.fit(x, y)
assert regressor.predict(x).shape[0] == 40
classifier = KerasClassifier(
    hidden=hidden,
    epochs=5,
    verbose=0,
    compile_kwargs={"loss": "categorical_crossentropy", "metrics": ["accuracy"]},
)
assert cross_val_score(classifier, x, (y > 0).astype(int), cv=2).shape == (2,)
