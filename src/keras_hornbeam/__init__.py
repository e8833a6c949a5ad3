"""The official Keras on Hornbeam's engines: `import keras_hornbeam` before `import keras`.

Importing this module sets KERAS_BACKEND to "hornbeam" and adds an import hook that gives Keras this backend.
Nothing of Keras is changed on disk. `src` has the modules of a backend in the layout that Keras proposes for
backends as packages; `hook` and `flat` are for Keras 3.15, which does not look for them.
"""

from __future__ import annotations

from keras_hornbeam.hook import install

install()
