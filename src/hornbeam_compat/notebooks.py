"""IPython extension: `%load_ext hornbeam` lets notebooks that were written for Keras run unchanged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import hornbeam
from hornbeam_compat.installation import STATEMENT, install_as_keras, uninstall_as_keras

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PIP = re.compile(r"^(?P<indent>\s*)[!%](?:python3? -m )?pip3?\s+install\s+(?P<rest>.*?)\s*$")
# A requirement of Keras or TensorFlow, with extras and versions.
_REPLACED = re.compile(
    r"(?:keras|tf[-_]keras|tensorflow(?:[-_](?:cpu|gpu|macos|metal))?)(?:[\[<>=!~ ].*)?", re.I
)
_NOTE = "print('hornbeam: {names} {mean} Hornbeam in this notebook, which is installed already')"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Let `import keras` and `import tensorflow` mean Hornbeam; called by `%load_ext hornbeam`.

    `%tensorflow_version` is accepted, and installing Keras or TensorFlow is skipped.

    Args:
        shell: The IPython shell.

    Raises:
        UsageError: If Keras or TensorFlow has already been imported.
    """
    from IPython.core.error import UsageError

    try:
        install_as_keras(verbose=False)
    except RuntimeError as error:
        raise UsageError(str(error)) from None
    adapt_shell(shell)
    print(f"Hornbeam {hornbeam.__version__}: {STATEMENT} here, until %unload_ext hornbeam")


def adapt_shell(shell: Any) -> None:
    """Accept `%tensorflow_version`, and skip the installation of Keras and TensorFlow."""
    shell.register_magic_function(_tensorflow_version, "line", "tensorflow_version")
    if without_replaced_packages not in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.append(without_replaced_packages)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo `load_ipython_extension`; called by `%unload_ext hornbeam`.

    Args:
        shell: The IPython shell.
    """
    uninstall_as_keras()
    shell.magics_manager.magics["line"].pop("tensorflow_version", None)
    if without_replaced_packages in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(without_replaced_packages)


def without_replaced_packages(lines: list[str]) -> list[str]:
    """Drop Keras and TensorFlow from lines with `!pip install` or `%pip install`.

    >>> without_replaced_packages(["!pip install -q tensorflow==2.15 pandas"])[-1]
    '!pip install -q pandas'
    """
    return [part for line in lines for part in _without_replaced(line)]


def _without_replaced(line: str) -> list[str]:
    match = _PIP.match(line)
    if match is None:
        return [line]
    words = match["rest"].split()
    dropped = [word for word in words if _REPLACED.fullmatch(word.strip("'\""))]
    if not dropped:
        return [line]
    names = sorted({re.split(r"[\[<>=!~]", word.strip("'\""))[0] for word in dropped})
    ending = "\n" if line.endswith("\n") else ""
    kept = [word for word in words if word not in dropped]
    note = _NOTE.format(names=" and ".join(names), mean="mean" if len(names) > 1 else "means")
    parts = [f"{match['indent']}{note}"]
    if any(not word.startswith("-") for word in kept):
        parts.append(f"{line[: match.start('rest')]}{' '.join(kept)}")
    return [f"{part}\n" for part in parts[:-1]] + [parts[-1] + ending]


def _tensorflow_version(line: str) -> Any:
    print("hornbeam: tensorflow means Hornbeam in this notebook, with the names of TensorFlow 2")
