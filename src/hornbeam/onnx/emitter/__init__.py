"""Graphs as ONNX models: `emit` has values that stand for tensors of a model, `table` what writes its nodes.

Nothing here runs a model.
"""
