"""Commands of `hornbeam`, which `hornbeam.cli.commands` lists."""

from hornbeam_compat.commands import keras_backend as keras_backend
from hornbeam_compat.commands import keras_compat as keras_compat
from hornbeam_compat.commands import run as run
