"""Folders with a certified training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.certified_training import train


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified")
    train(folder)
    return folder


@pytest.fixture
def run(certified: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to forge in."""
    shutil.copytree(certified, tmp_path, dirs_exist_ok=True)
    return tmp_path
