"""tf.nest: nested structures."""

from hornbeam.tree import flatten, map_structure, pack_sequence_as

__all__ = ["flatten", "map_structure", "pack_sequence_as"]
