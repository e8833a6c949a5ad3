"""Write a model and its card to a folder, and upload it to the hub."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hornbeam.hub.card import ModelCard
from hornbeam.hub.client import LIBRARY, explained, library, parse_address
from hornbeam.models import Model
from hornbeam.saving.archive import save_model


def prepare(
    model: Model,
    folder: str | os.PathLike[str],
    repository: str = "user/model",
    card: ModelCard | str | None = None,
    *,
    safetensors: bool = False,
) -> None:
    """Write the files that `push` uploads to a new folder.

    These are `config.json`, `metadata.json` and `model.weights.h5`, as Keras's own `save("hf://...")` writes
    them, and the card as `README.md`.

    Args:
        model: The model, with weights.
        folder: Folder that does not exist.
        repository: Owner and name of the repository, for the card.
        card: Facts about the model, or the text of a README; None states what the model itself tells.
        safetensors: Write the weights to `model.safetensors`, too, for programs without Keras.

    Raises:
        FileExistsError: If the folder exists.
        ValueError: If the model cannot be saved.

    Example:
        >>> hornbeam.hub.prepare(model, "digits", "user/digits")  # doctest: +SKIP
    """
    target = Path(folder)
    if target.exists():
        raise FileExistsError(f"{target} exists: name a new folder")
    card = ModelCard() if card is None else card
    text = card if isinstance(card, str) else card.text(model, repository)
    save_model(model, target, zipped=False)
    (target / "README.md").write_text(text, encoding="utf-8")
    if safetensors:
        model.save_weights(target / "model.safetensors")


def push(
    model: Model,
    address: str,
    card: ModelCard | str | None = None,
    *,
    revision: str | None = None,
    private: bool | None = None,
    message: str = "Upload model",
    safetensors: bool = False,
) -> str:
    """Upload a model to the Hugging Face Hub, with a README of facts. Keras can load it, too.

    The token is that of huggingface_hub: `hf auth login`, or HF_TOKEN. A repository that does not exist is
    created; existing files are replaced by a new commit.

    Args:
        model: The model, with weights.
        address: `hf://user/model`.
        card: As in `prepare`.
        revision: Branch to commit to; the main branch if None.
        private: Whether a new repository is private; None as the account has it.
        message: Message of the commit.
        safetensors: As in `prepare`.

    Returns:
        The address of the commit.

    Raises:
        ImportError: If huggingface_hub is not installed.
        DownloadError: If the hub cannot be reached, or the account may not write.

    Example:
        >>> card = hornbeam.hub.ModelCard(data="MNIST", evaluation=evaluation)  # doctest: +SKIP
        >>> hornbeam.hub.push(model, "hf://user/digits", card)  # doctest: +SKIP
    """
    target = parse_address(address, revision, file=False)
    hub = library()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "model")
        prepare(model, files, target.repository, card, safetensors=safetensors)
        with explained(target):
            api = hub.HfApi(**LIBRARY)
            api.create_repo(target.repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=target.repository, folder_path=files, revision=target.revision, commit_message=message
            )
    return str(commit.commit_url)
