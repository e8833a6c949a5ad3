"""Weather forecasting: windows of a series as a dataset, read by an LSTM."""

import numpy as np
from tensorflow import keras


def make_weather(steps=3000, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    temperature = 10 * np.sin(t / 24 * 2 * np.pi) + 3 * np.sin(t / 300) + rng.normal(0, 0.7, steps)
    pressure = np.cos(t / 24 * 2 * np.pi + 0.5) + rng.normal(0, 0.1, steps)
    wind = rng.normal(0, 1, steps)
    return np.stack([temperature, pressure, wind], axis=1)


def main():
    keras.utils.set_random_seed(2)
    series = make_weather()
    mean, std = series[:2000].mean(axis=0), series[:2000].std(axis=0)
    series = ((series - mean) / std).astype("float32")
    past, future = 24, 6

    def windows(first, last):
        x = series[first : last - future - past]
        y = series[first + past + future : last, 0]
        return keras.utils.timeseries_dataset_from_array(
            x, y, sequence_length=past, sampling_rate=1, batch_size=64
        )

    train, held_out = windows(0, 2000), windows(2000, 3000)
    for batch in train.take(1):
        inputs, targets = batch
    print("Input shape:", tuple(inputs.shape), "Target shape:", tuple(targets.shape))
    inputs = keras.layers.Input(shape=(inputs.shape[1], inputs.shape[2]))
    lstm_out = keras.layers.LSTM(16)(inputs)
    outputs = keras.layers.Dense(1)(lstm_out)
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.01), loss="mse")
    history = model.fit(train, epochs=4, validation_data=held_out, verbose=2)
    return {"loss": history.history["loss"], "val_loss": history.history["val_loss"]}


if __name__ == "__main__":
    main()
