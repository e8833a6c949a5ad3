"""ONNX files: `reading` and `writing` them, the `operators` that models of files run, and the `emitter`."""
