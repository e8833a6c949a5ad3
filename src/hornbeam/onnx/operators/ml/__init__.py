"""ONNX's operators of classical machine learning, the domain `ai.onnx.ml`: those of scikit-learn."""

# Imported for their effect: each registers its operators.
from hornbeam.onnx.operators.ml import encoders as encoders
from hornbeam.onnx.operators.ml import linear as linear
from hornbeam.onnx.operators.ml import supports as supports
from hornbeam.onnx.operators.ml import trees as trees
