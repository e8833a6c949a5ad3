"""Names for extensions of the library, beyond its public ones.

An extension is a package that a user may do without, such as `hornbeam_compat` and `keras_hornbeam`. It
imports public names, and from here what they lack. The library never imports an extension, but for a few
doors. `tests/structure/test_extensions.py` holds both, and the list of these names.

The names are in modules by subject, each of which is imported when it is used:

- `packages`: names of modules and classes, hints and warnings, the registry of serializable classes.
- `state`: state of running code.
- `typing`: types of arguments that several things are accepted for.
- `tensors`: conversions of arguments, sparse tensors, dtypes and shapes.
- `tracing`: traces, symbolic sizes, graphs of lazy values and their derivatives.
- `operations`: operations that have no public name.
- `hashing`: hashes of strings.
- `data`: elements of datasets.
- `layers`: base classes of layers, and what describes their arguments.
- `files`: reading and writing of untrusted files.
- `commands`: options that commands of `hornbeam` share.
- `training`: compiled steps, and batches.
"""
