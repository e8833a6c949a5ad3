"""`hornbeam serve`: models over HTTP.

A request goes from `application` (limits, by `guard`) to an endpoint in `inference`, which reads it by one of
the protocols (`open_inference`, `tensorflow_serving`, `uploads`), has it computed together with others
(`batcher`), and writes the answer. `repository` loads models and replaces them. `pages` has all that runs no
model. Nothing here imports layers, unless a model has to be frozen first.
"""
