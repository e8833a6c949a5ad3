"""ONNX Runtime's own operators, the domain `com.microsoft`: what its optimizer and quantizer write."""

# Imported for their effect: each registers its operators.
from hornbeam.onnx.operators.microsoft import attention as attention
from hornbeam.onnx.operators.microsoft import fused as fused
from hornbeam.onnx.operators.microsoft import quantized as quantized
