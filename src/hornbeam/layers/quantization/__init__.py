"""Quantized weights of layers: a layer declares its weights, formats store and read them."""
