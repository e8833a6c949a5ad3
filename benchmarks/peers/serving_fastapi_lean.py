"""FastAPI and ONNX Runtime with all that is known to be fast: orjson both ways, no pydantic, no thread.

python serving_fastapi_lean.py MODEL.onnx PORT THREADS
"""

import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options)
name = session.get_inputs()[0].name
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    instances = np.asarray(orjson.loads(await request.body())["instances"], np.float32)
    (scores,) = session.run(None, {name: instances})
    answer = orjson.dumps({"predictions": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(answer, media_type="application/json")


uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
