"""netron: serves a saved model to a browser."""

import urllib.request

import keras
import netron

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
model.save("model.keras")
host, port = netron.start("model.keras", browse=False)
page = urllib.request.urlopen(f"http://{host}:{port}/data/model.keras").read()
netron.stop()
assert page[:2] == b"PK"
