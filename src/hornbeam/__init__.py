"""Hornbeam: deep learning that reads like Keras, over interchangeable engines.

Names are re-exported explicitly; what is heavy or rarely needed is imported when it is first used.
"""
