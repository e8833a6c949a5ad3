"""Downloads and archives: checked, all or nothing, and never outside of their folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hornbeam.datasets import files
from hornbeam.datasets.files import get_file
from hornbeam.errors import CorruptFileError, DownloadError, UnsafeArchiveError

CONTENT = b"0,1\n2,3\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return folder


@pytest.fixture
def origin(tmp_path: Path) -> str:
    source = tmp_path / "data.csv"
    source.write_bytes(CONTENT)
    return source.as_uri()


def _left(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    "options", [{}, {"file_hash": SHA256}, {"file_hash": MD5}, {"md5_hash": MD5.upper()}]
)
def test_a_file_is_fetched_once(home: Path, origin: str, options: dict) -> None:
    path = Path(get_file(origin=origin, **options))
    assert path == home / "datasets" / "data.csv"
    assert path.read_bytes() == CONTENT
    (path.parent.parent.parent / "data.csv").unlink()
    assert get_file(origin=origin, **options) == str(path)


def test_what_keras_has_downloaded_is_used(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "x.csv").write_bytes(CONTENT)
    assert get_file("x.csv", "http://127.0.0.1:9/x.csv", file_hash=SHA256) == str(home / "datasets" / "x.csv")
    assert "Downloading" not in capsys.readouterr().err


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert files.keras_home() == tmp_path / ".keras"


def test_a_wrong_checksum_leaves_nothing(home: Path, origin: str) -> None:
    with pytest.raises(CorruptFileError, match="expected 0000"):
        get_file(origin=origin, file_hash="0" * 64)
    assert _left(home) == []


def test_a_damaged_file_is_fetched_again(home: Path, origin: str) -> None:
    (home / "datasets").mkdir(parents=True)
    (home / "datasets" / "data.csv").write_bytes(b"half")
    assert Path(get_file(origin=origin, file_hash=SHA256)).read_bytes() == CONTENT


def test_forced(home: Path, origin: str) -> None:
    path = Path(get_file(origin=origin))
    path.write_bytes(b"old")
    assert Path(get_file(origin=origin)).read_bytes() == b"old"
    assert Path(get_file(origin=origin, force_download=True)).read_bytes() == CONTENT


def test_no_network_says_where_to_put_the_file(home: Path) -> None:
    with pytest.raises(DownloadError) as error:
        get_file("x.csv", "http://127.0.0.1:9/x.csv")
    assert "http://127.0.0.1:9/x.csv" in str(error.value)
    assert str(home / "datasets" / "x.csv") in str(error.value)
    assert _left(home) == []


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "needs `origin`"),
        ({"origin": "ftp://example.com/x"}, "http, https or file"),
        ({"origin": "https://example.com/"}, "pass `fname`"),
        ({"origin": "https://example.com/x", "file_hash": "abc"}, "SHA-256 or MD5"),
        (
            {"origin": "https://example.com/x", "file_hash": "0" * 64, "hash_algorithm": "crc"},
            "SHA-256 or MD5",
        ),
    ],
)
def test_wrong_arguments(home: Path, arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        get_file(**arguments)


# -- archives ----------------------------------------------------------------------------------------------


def _tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as pack:
        for name, content in members.items():
            pack.writestr(name, content)
    return path


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("make", [_tar, _zip])
def test_archives_are_unpacked(home: Path, tmp_path: Path, make: Any) -> None:
    source = make(tmp_path / "pack.tar.gz", {"a/b.txt": b"1", "c.txt": b"2"})
    folder = Path(get_file(origin=source.as_uri(), extract=True))
    assert folder == home / "datasets" / "pack_extracted"
    assert _left(folder) == ["a/b.txt", "c.txt"]
    named = Path(get_file("mine", source.as_uri(), extract=True))
    assert named == home / "datasets" / "mine"
    assert (home / "datasets" / "mine_archive").is_file()
    assert _left(named) == ["a/b.txt", "c.txt"]


EVIL = [
    {"ok.txt": b"1", "../out.txt": b"2"},
    {"ok.txt": b"1", "/out.txt": b"2"},
    {"ok.txt": b"1", "a/../../out.txt": b"2"},
    {"ok.txt": b"1", "C:\\out.txt": b"2"},
]


@pytest.mark.parametrize("make", [_tar, _zip])
@pytest.mark.parametrize("members", EVIL, ids=[list(m)[1] for m in EVIL])
def test_names_that_lead_outside_are_refused(tmp_path: Path, make: Any, members: dict) -> None:
    archive = make(tmp_path / "evil", members)
    with pytest.raises(UnsafeArchiveError, match="refused"):
        files.extract_archive(archive, tmp_path / "inside" / "folder")
    assert _left(tmp_path) == ["evil"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    archive = _tar(tmp_path / "evil", {"link": _special("link", kind, "/etc/passwd"), "link/x": b"1"})
    with pytest.raises(UnsafeArchiveError, match="link or a device"):
        files.extract_archive(archive, tmp_path / "folder")
    assert _left(tmp_path) == ["evil"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil", "w") as pack:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        pack.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeArchiveError, match="link"):
        files.extract_archive(tmp_path / "evil", tmp_path / "folder")


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no")
    for archive_format, match in (
        ("auto", "not a tar or zip archive"),
        ("zip", "not a zip archive"),
        ("rar", "must be"),
    ):
        with pytest.raises(ValueError, match=match):
            files.extract_archive(tmp_path / "x", tmp_path / "folder", archive_format)
