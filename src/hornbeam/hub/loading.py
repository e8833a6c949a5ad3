"""Load models and files from the hub."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbeam.errors import ModelFileError
from hornbeam.hub.client import LIBRARY, explained, library, parse_address
from hornbeam.models import Model
from hornbeam.saving.archive import load_model
from hornbeam.saving.formats import ASSETS, CONFIG, METADATA, WEIGHTS


def load(
    address: str,
    *,
    revision: str | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Model:
    """Load a model from the Hugging Face Hub, one that `push` or Keras's `save("hf://...")` wrote.

    The repository has `config.json`, `metadata.json` and `model.weights.h5`, or one `.keras` file. Only these
    are downloaded, to the cache of huggingface_hub, and read by the rules of `saving.load_model`: no code of
    the repository is run.

    Args:
        address: `hf://user/model`, or `hf://user/model@revision`.
        revision: Branch, tag or commit; the main branch if None. A commit stays the same.
        custom_objects: As in `saving.load_model`.
        compile: As in `saving.load_model`.

    Returns:
        The model.

    Raises:
        ImportError: If huggingface_hub is not installed.
        DownloadError: If the repository does not exist, may not be read, or cannot be reached and is not in
            the cache.
        ModelFileError: If it has no model of Keras, or the model breaks a safety rule.

    Example:
        >>> model = hornbeam.hub.load("hf://user/digits@v1.0")  # doctest: +SKIP
    """
    source = parse_address(address, revision, file=False)
    hub = library()
    with explained(source):
        snapshot = hub.snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=[CONFIG, METADATA, WEIGHTS, f"{ASSETS}*", "*.keras"],
            **LIBRARY,
        )
    folder = Path(snapshot)
    archives = sorted(folder.glob("*.keras"))
    if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
        return _load_folder(folder, custom_objects, compile)
    if len(archives) == 1:
        return load_model(archives[0], custom_objects, compile)
    raise ModelFileError(
        f"{address} has {len(archives)} .keras files, and no {CONFIG} with {WEIGHTS}, so it is no model of "
        "Keras. hornbeam.hub.download() loads one of its files, and hornbeam.applications take torchvision's "
        "weights"
    )


def _load_folder(folder: Path, custom_objects: Mapping[str, Any] | None, compile: bool) -> Model:
    """Load copies, as the files of the cache are links, which models may not have."""
    with tempfile.TemporaryDirectory() as copy:
        for name in (CONFIG, METADATA, WEIGHTS):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, Path(copy, name))
        for path in (folder / ASSETS).rglob("*"):
            if path.is_file():
                target = Path(copy, path.relative_to(folder))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return load_model(copy, custom_objects, compile)


def download(address: str, *, revision: str | None = None) -> str:
    """Download a file from the Hugging Face Hub, unless the cache has it.

    Args:
        address: `hf://user/model/file`, or `hf://user/model@revision/file`.
        revision: Branch, tag or commit; the main branch if None.

    Returns:
        The path of the file in the cache.

    Raises:
        ImportError: If huggingface_hub is not installed.
        DownloadError: If the file does not exist, may not be read, or cannot be reached and is not in the
            cache.

    Example:
        >>> path = hornbeam.hub.download("hf://timm/resnet50.a1_in1k/model.safetensors")  # doctest: +SKIP
        >>> model = hornbeam.applications.ResNet50(weights=path)  # doctest: +SKIP
    """
    source = parse_address(address, revision, file=True)
    hub = library()
    with explained(source):
        return str(hub.hf_hub_download(source.repository, source.file, revision=source.revision, **LIBRARY))
