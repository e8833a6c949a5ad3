"""visualkeras: a layered view and a graph view of models."""

import keras
import visualkeras

model = keras.Sequential(
    [
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(4, 3),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
)
assert visualkeras.layered_view(model, legend=False).size[0] > 10
inputs = keras.Input((4,))
left, right = keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)
dense = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()([left, right])))
assert visualkeras.graph_view(dense).size[0] > 10
visualkeras.layered_view(model, to_file="layers.png")
