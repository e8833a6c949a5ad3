"""Names for extensions of the library, beyond its public ones.

An extension is a package that a user may do without, such as `hornbeam_compat` and `keras_hornbeam`. It
imports public names, and from here what they lack. The library never imports an extension, but for a few
doors. `tests/structure/test_extensions.py` holds both, and the list of these names.

The names are in modules by subject, each of which is imported when it is used. One in capitals is a place
where an extension may set what the library does: the module and the name in it, as `setattr` takes them.

- `packages`: the registry of serializable classes, errors and warnings as users see them, commands.
- `tensors`: conversions of arguments, sparse tensors, parts of datasets, operations without a public name.
- `tracing`: what is running, graphs of lazy values and their derivatives, sizes that are not known.
- `layers`: base classes of layers, and equations that describe them.
- `training`: compiled steps, and batches.
- `files`: reading and writing of untrusted files.
"""
