"""Files from the network: downloaded once, checked, unpacked without trusting what is inside."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

TIMEOUT = 30.0
_CHUNK = 1 << 20


class DownloadError(OSError):
    """A file could not be had from the network."""


class CorruptFileError(ValueError):
    """A file is not what its checksum says."""


class UnsafeArchiveError(ValueError):
    """An archive wants to write outside of its folder, or holds something that is neither file nor folder."""


def keras_home() -> Path:
    """Where Keras keeps its files, and so do we: `$KERAS_HOME`, or `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | None = None,
    force_download: bool = False,
) -> str:
    """The local path of a file, downloaded from `origin` unless it is already there.

    fname: name under which it is kept, by default the last part of the URL. With `extract`, the folder's
        name.
    file_hash: SHA-256 or MD5 in hex (told apart by length, or by `hash_algorithm`). It is checked after a
        download, and before a file that is already there is used; one that does not match is downloaded
        again.
    cache_dir, cache_subdir: where it is kept; `$KERAS_HOME` or ~/.keras, and "datasets". These are Keras's
        places, so what Keras has downloaded is used.
    extract: unpack a tar (plain, gz, bz2, xz) or zip archive, and return the folder. `archive_format`: "tar",
        "zip", or "auto". `untar` and `md5_hash` are older names of `extract` and `file_hash`.

    A download goes to a temporary file first, so a broken one leaves nothing behind. Archives are unpacked
    file by
    file: absolute names, "..", links and devices are refused.

    Raises DownloadError without network, CorruptFileError for a wrong checksum, UnsafeArchiveError, and
    ValueError for wrong arguments.

    >>> path = get_file(origin="https://example.com/data.csv", file_hash="...")  # doctest: +SKIP
    """
    if not origin:
        raise ValueError("get_file needs `origin`, the URL of the file")
    scheme = urllib.parse.urlparse(origin).scheme
    if scheme not in ("http", "https", "file"):
        raise ValueError(f"origin must be an http, https or file URL, got {origin!r}")
    check = _checksum(file_hash or md5_hash, hash_algorithm)
    folder = Path(cache_dir or keras_home()).expanduser() / cache_subdir
    name = fname or PurePosixPath(urllib.parse.unquote(urllib.parse.urlparse(origin).path)).name
    if not name or name in (".", ".."):
        raise ValueError(f"the URL {origin!r} ends in no file name: give `fname`")
    if not (extract or untar):
        return str(_fetched(folder / name, origin, check, force_download))
    target, unpacked = _places(folder, name)
    archive = _fetched(target, origin, check, force_download)
    if force_download or not unpacked.is_dir():
        extract_archive(archive, unpacked, "tar" if untar and not extract else archive_format)
    return str(unpacked)


def _places(folder: Path, name: str) -> tuple[Path, Path]:
    """Where archive and folder stand, as in Keras: x.tar.gz and x_extracted, or x_archive and x."""
    if "." in Path(name).name:
        return folder / name, folder / f"{name[: name.index('.')]}_extracted"
    return folder / f"{name}_archive", folder / name


Check = tuple[str, str] | None


def _checksum(value: str | None, algorithm: str) -> Check:
    if value is None:
        return None
    name = algorithm.lower().replace("-", "")
    if name == "auto":
        name = {64: "sha256", 32: "md5"}.get(len(value), "")
    if name not in ("sha256", "md5"):
        raise ValueError(
            f"a checksum must be SHA-256 or MD5 in hex, got {value!r} with hash_algorithm={algorithm!r}"
        )
    return name, value.lower()


def file_hash(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Checksum of a file in hex."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetched(path: Path, origin: str, check: Check, force: bool) -> Path:
    if path.is_file() and not force:
        if check is None or file_hash(path, check[0]) == check[1]:
            return path
        print(f"{path} is not what its checksum says; it is downloaded again", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            _download(origin, file, path)
        if check is not None:
            found = file_hash(staged, check[0])
            if found != check[1]:
                raise CorruptFileError(
                    f"{origin} has {check[0]} {found}, expected {check[1]}: the download is damaged or the "
                    f"file changed"
                )
        os.replace(staged, path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
    return path


def _download(origin: str, file: IO[bytes], path: Path) -> None:
    print(f"Downloading {origin}", file=sys.stderr)
    request = urllib.request.Request(origin, headers={"User-Agent": "hornbeam"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            expected = response.headers.get("Content-Length")
            shutil.copyfileobj(response, file, _CHUNK)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(
            f"could not download {origin}: {reason}. Without network, get the file elsewhere and put it at "
            f"{path}"
        ) from error
    if expected is not None and file.tell() != int(expected):
        raise DownloadError(f"{origin} broke off after {file.tell()} of {expected} bytes; try again")


# -- archives ------------------------------------------------------------------------------------------------


def extract_archive(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    archive_format: str | Sequence[str] | None = "auto",
) -> None:
    """Unpack a tar or zip archive into a new folder: all of it, or nothing.

    Raises UnsafeArchiveError for absolute names, "..", links and devices; ValueError for what is no archive.
    """
    if archive_format == "auto":
        archive_format = ("tar", "zip")
    formats = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    if set(formats) - {"tar", "zip"}:
        raise ValueError(f"archive_format must be 'auto', 'tar' or 'zip', got {archive_format!r}")
    if "tar" in formats and tarfile.is_tarfile(archive):
        members = _tar_members
    elif "zip" in formats and zipfile.is_zipfile(archive):
        members = _zip_members
    else:
        raise ValueError(f"{archive} is no {' or '.join(formats) or 'known'} archive")
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, open_member in members(archive):
            target = staged / _safe(name)
            if open_member is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_member() as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staged, folder)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


Member = tuple[str, Callable[[], Any] | None]


def _tar_members(archive: str | os.PathLike[str]) -> Iterator[Member]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                yield member.name, None
            elif member.isfile():
                yield member.name, lambda member=member: tar.extractfile(member)  # type: ignore[misc]
            else:
                raise UnsafeArchiveError(
                    f"{archive} holds {member.name!r}, which is a link or a device: refused"
                )


def _zip_members(archive: str | os.PathLike[str]) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as pack:
        for member in pack.infolist():
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise UnsafeArchiveError(f"{archive} holds {member.filename!r}, which is a link: refused")
            yield member.filename, None if member.is_dir() else (lambda member=member: pack.open(member))  # type: ignore[misc]


def _safe(name: str) -> Path:
    """A member's name as a path that stays inside the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise UnsafeArchiveError(
            f"the archive holds {name!r}, which would be written outside of its folder: refused"
        )
    return Path(*path.parts) if path.parts else Path(".")
