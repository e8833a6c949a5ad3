"""`import keras` and `import tensorflow` as Hornbeam, for scripts, notebooks and tests written for Keras.

Never active by itself: `hornbeam run`, `%load_ext hornbeam`, `install_as_keras()` and `hornbeam.as_keras`
install the policy, in their process. `policy` lists all changes of the process, `import_hook` maps modules,
`legacy_api` has the names of Keras 1 and 2, `tensorflow` the parts of TensorFlow that Keras tutorials use,
`programs` and `notebook_runs` run scripts and notebooks, `commands` are those of `hornbeam`.
"""
