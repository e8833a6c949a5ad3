"""For extensions: hashes of strings."""

from hornbeam.layers.preprocessing._hashing.fingerprints import fingerprint64 as fingerprint64
