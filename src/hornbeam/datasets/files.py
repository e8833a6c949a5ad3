"""Files from the network: downloaded once, verified, and unpacked without trusting their content."""

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

from hornbeam.errors import CorruptFileError, DownloadError, UnsafeArchiveError

TIMEOUT = 30.0
_CHUNK = 1 << 20


def keras_home() -> Path:
    """Return the folder of Keras's files, which Hornbeam uses as well: `$KERAS_HOME`, or `~/.keras`."""
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
    """Return the local path of a file, downloaded from `origin` if missing.

    Downloads are written to a temporary file first, so an interrupted one leaves nothing. Archives are
    unpacked file by file: absolute names, "..", links and devices are refused.

    Args:
        fname: Name of the file in the cache, or with `extract` of the folder; the last part of the URL if
            None.
        origin: URL of the file (http, https or file).
        untar: Older name of `extract`, for tar archives.
        md5_hash: Older name of `file_hash`.
        file_hash: SHA-256 or MD5 in hex. It is verified after a download, and before an existing file is
            used; an existing file that does not match is downloaded again.
        cache_subdir: Subfolder of the cache.
        hash_algorithm: "sha256", "md5", or "auto" by the length of `file_hash`.
        extract: Whether to unpack a tar (plain, gz, bz2, xz) or zip archive, and return the folder.
        archive_format: "tar", "zip", "auto", or several of them.
        cache_dir: Folder of the cache; `$KERAS_HOME` or ~/.keras if None, so that files that Keras has
            downloaded are used.
        force_download: Whether to download an existing file again.

    Returns:
        Path of the file, or with `extract` of the folder.

    Raises:
        DownloadError: Without network.
        CorruptFileError: For a wrong checksum.
        UnsafeArchiveError: For an archive with unsafe entries.
        ValueError: For invalid arguments.

    Example:
        >>> path = get_file(origin="https://example.com/data.csv", file_hash="...")  # doctest: +SKIP
    """
    if not origin:
        raise ValueError("get_file needs `origin`, the URL of the file")
    scheme = urllib.parse.urlparse(origin).scheme
    if scheme not in ("http", "https", "file"):
        raise ValueError(f"origin must be an http, https or file URL, got {origin!r}")
    check = _parse_checksum(file_hash or md5_hash, hash_algorithm)
    folder = Path(cache_dir or keras_home()).expanduser() / cache_subdir
    name = fname or PurePosixPath(urllib.parse.unquote(urllib.parse.urlparse(origin).path)).name
    if not name or name in (".", ".."):
        raise ValueError(f"the URL {origin!r} does not end in a file name: pass `fname`")
    if not (extract or untar):
        return str(_fetch(folder / name, origin, check, force_download))
    target, unpacked = _extraction_paths(folder, name)
    archive = _fetch(target, origin, check, force_download)
    if force_download or not unpacked.is_dir():
        extract_archive(archive, unpacked, "tar" if untar and not extract else archive_format)
    return str(unpacked)


def _extraction_paths(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the paths of archive and folder, as in Keras: x.tar.gz and x_extracted, or x_archive and x."""
    if "." in Path(name).name:
        return folder / name, folder / f"{name[: name.index('.')]}_extracted"
    return folder / f"{name}_archive", folder / name


Check = tuple[str, str] | None


def _parse_checksum(value: str | None, algorithm: str) -> Check:
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
    """Return the checksum of a file in hex."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch(path: Path, origin: str, check: Check, force: bool) -> Path:
    if path.is_file() and not force:
        if check is None or file_hash(path, check[0]) == check[1]:
            return path
        print(f"{path} does not match its checksum and is downloaded again", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            _download(origin, file, path)
        if check is not None:
            digest = file_hash(staged, check[0])
            if digest != check[1]:
                raise CorruptFileError(
                    f"{origin} has {check[0]} {digest}, expected {check[1]}: the download is damaged or the "
                    "file has changed"
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
            f"could not download {origin}: {reason}. Without network, copy the file to {path}"
        ) from error
    if expected is not None and file.tell() != int(expected):
        raise DownloadError(f"{origin} was interrupted after {file.tell()} of {expected} bytes: try again")


# -- archives ------------------------------------------------------------------------------------------------


def extract_archive(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    archive_format: str | Sequence[str] | None = "auto",
) -> None:
    """Unpack a tar or zip archive into a new folder, completely or not at all.

    Raises UnsafeArchiveError for absolute names, "..", links and devices; ValueError for other
    files.
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
        raise ValueError(f"{archive} is not a {' or '.join(formats) or 'known'} archive")
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, open_member in members(archive):
            target = staged / _safe_path(name)
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
                    f"{archive} contains {member.name!r}, which is a link or a device: refused"
                )


def _zip_members(archive: str | os.PathLike[str]) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as pack:
        for member in pack.infolist():
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise UnsafeArchiveError(f"{archive} contains {member.filename!r}, which is a link: refused")
            yield member.filename, None if member.is_dir() else (lambda member=member: pack.open(member))  # type: ignore[misc]


def _safe_path(name: str) -> Path:
    """Return the name of a member as a path inside the folder. Raises UnsafeArchiveError."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise UnsafeArchiveError(
            f"the archive contains {name!r}, which would be written outside of its folder: refused"
        )
    return Path(*path.parts) if path.parts else Path(".")
