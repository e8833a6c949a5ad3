"""scikeras: a classifier in a pipeline and a grid search, pickled."""

import pickle

import keras
import numpy as np
from scikeras.wrappers import KerasClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(0)
x = rng.normal(size=(60, 5)).astype("float32")
y = np.where(x[:, 0] > 0, "yes", "no")


def build(hidden, meta):
    model = keras.Sequential([keras.Input((meta["n_features_in_"],))])
    model.add(keras.layers.Dense(hidden, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    return model


classifier = KerasClassifier(build, hidden=4, loss="binary_crossentropy", epochs=3, verbose=0, random_state=0)
pipeline = make_pipeline(StandardScaler(), classifier)
search = GridSearchCV(pipeline, {"kerasclassifier__hidden": [2, 8]}, cv=2)
search.fit(x, y)
assert set(search.predict(x)) <= {"yes", "no"}
best = pickle.loads(pickle.dumps(search.best_estimator_))
np.testing.assert_allclose(best.predict_proba(x), search.predict_proba(x), rtol=1e-4, atol=1e-5)
