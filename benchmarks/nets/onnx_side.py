"""ONNX Runtime and OpenVINO; see serving.py.

python onnx_side.py NET predict BATCH STEPS --file FILE --runtime onnxruntime|openvino
"""

import os
import sys

import numpy as np
import serving

batch, steps = int(sys.argv[3]), int(sys.argv[4])
path, runtime = sys.argv[sys.argv.index("--file") + 1], sys.argv[sys.argv.index("--runtime") + 1]
threads = int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1))
rng = np.random.default_rng(0)


def operand(name, shape, integers):
    shape = [batch, *shape[1:]]
    return (
        rng.integers(0, 1000, shape).astype("int32")
        if integers
        else rng.standard_normal(shape).astype("float32")
    )


if runtime == "onnxruntime":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {i.name: operand(i.name, i.shape, "int" in i.type) for i in session.get_inputs()}

    def work(times):
        for _ in range(times):
            session.run(None, feed)

else:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    shapes = {i: [batch, *[d.get_length() for d in list(i.partial_shape)[1:]]] for i in model.inputs}
    model.reshape({i.any_name: shape for i, shape in shapes.items()})
    # All sides compute in float32; OpenVINO would choose bfloat16 on CPUs that have AMX.
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(model, "CPU", settings)
    feed = {
        i.any_name: operand(i.any_name, list(i.shape), "i" in i.element_type.to_dtype().kind)
        for i in compiled.inputs
    }
    request = compiled.create_infer_request()

    def work(times):
        for _ in range(times):
            request.infer(feed, share_inputs=True)


serving.serve(work, steps)
