"""Mixin of layers."""


class HornbeamLayer:
    """Nothing of a layer depends on this backend."""


NumpyLayer = HornbeamLayer
