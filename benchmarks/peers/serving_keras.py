"""Keras on TensorFlow behind FastAPI: the model's compiled call, orjson, no pydantic.

python serving_keras.py MODEL.keras PORT THREADS
"""

import sys

import keras
import numpy as np
import orjson
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, Request, Response

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[3]))
model = keras.saving.load_model(sys.argv[1])
compiled = tf.function(lambda rows: model(rows, training=False), reduce_retracing=True)
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    instances = np.asarray(orjson.loads(await request.body())["instances"], np.float32)
    scores = compiled(tf.constant(instances)).numpy()
    answer = orjson.dumps({"predictions": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(answer, media_type="application/json")


uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
