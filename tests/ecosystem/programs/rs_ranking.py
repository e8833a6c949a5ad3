"""keras-rs: a deep and cross network ranks items, with losses and metrics of lists."""

import keras
import keras_rs
import numpy as np

rng = np.random.default_rng(0)
users = rng.integers(0, 20, (32, 5))
items = rng.integers(0, 30, (32, 5))
ratings = rng.integers(0, 3, (32, 5)).astype("float32")
user, item = keras.Input((5,), dtype="int32"), keras.Input((5,), dtype="int32")
x = keras.layers.Concatenate()([keras.layers.Embedding(20, 8)(user), keras.layers.Embedding(30, 8)(item)])
x = keras_rs.layers.FeatureCross(projection_dim=4)(x)
x = keras_rs.layers.FeatureCross()(x)
scores = keras.layers.Reshape((5,))(keras.layers.Dense(1)(x))
model = keras.Model([user, item], scores)
model.compile(
    "adam", loss=keras_rs.losses.PairwiseHingeLoss(), metrics=[keras_rs.metrics.NDCG(k=3, name="ndcg")]
)
history = model.fit([users, items], ratings, epochs=2, verbose=0).history
assert 0 <= history["ndcg"][-1] <= 1
before = model.predict([users, items], verbose=0)
model.save("ranking.keras")
after = keras.models.load_model("ranking.keras").predict([users, items], verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
