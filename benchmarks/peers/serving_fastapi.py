"""FastAPI and ONNX Runtime, as tutorials have it: a pydantic model of the body, and a function in a thread.

python serving_fastapi.py MODEL.onnx PORT THREADS
"""

import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[3])
session = onnxruntime.InferenceSession(sys.argv[1], options)
name = session.get_inputs()[0].name
app = FastAPI()


class Request(BaseModel):
    instances: list[Any]


@app.post("/predict")
def predict(request: Request) -> dict[str, Any]:
    (scores,) = session.run(None, {name: np.asarray(request.instances, np.float32)})
    return {"predictions": scores.tolist()}


uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
