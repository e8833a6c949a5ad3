"""`data.from_webdataset`: samples in tar archives, and archives that are not to be trusted."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hornbeam as hb
from hornbeam.data.sources import tar_files


def png(value: int, size: tuple[int, int] = (4, 3)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value, 0, 255 - value)).save(file, "PNG")
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_tar(path: Path, files: dict[str, bytes], **attributes: Any) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for attribute, value in attributes.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def digits(first: int, count: int) -> dict[str, bytes]:
    numbers = range(first, first + count)
    return {
        name: content
        for n in numbers
        for name, content in ((f"d/{n:04}.png", png(n)), (f"d/{n:04}.cls", str(n).encode()))
    }


def rows(dataset: hb.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def test_samples_of_several_archives(tmp_path: Path) -> None:
    for index in range(3):
        write_tar(tmp_path / f"train-{index:03}.tar", digits(10 * index, 10))
    dataset = hb.data.from_webdataset(str(tmp_path / "train-{000..002}.tar"), "png", "cls")
    samples = rows(dataset)
    assert [int(y) for _, y in samples] == list(range(30))
    assert all(x.shape == (3, 4, 3) and x[0, 0].tolist() == [y, 0, 255 - y] for x, y in samples)
    assert dataset.element_spec[0].shape == (None, None, 3)
    assert dataset.element_spec[1].dtype == "int64"
    assert dataset.cardinality() == hb.data.UNKNOWN_CARDINALITY


def test_every_kind_of_file(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    files = {
        "a.txt": "grün".encode(),
        "a.json": json.dumps({"box": [1, 2.5], "name": "x"}).encode(),
        "a.npy": npy(np.asfortranarray(array)),
        "a.seg.npy": npy(array[:, 0]),
        "a.cls": b" 7\n",
        "a.bin": b"\0\1",
    }
    (sample,) = rows(hb.data.from_webdataset(write_tar(tmp_path / "a.tar", files)))
    assert sample["txt"] == "grün"
    assert sample["cls"] == 7
    assert sample["bin"] == b"\0\1"
    assert sample["json"]["box"].tolist() == [1, 2.5]
    assert sample["json"]["name"] == "x"
    assert np.array_equal(sample["npy"], array)
    assert sample["seg.npy"].tolist() == [0, 3]


def test_images_of_one_size_and_color_mode(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.png": png(3, (9, 5)), "b.jpg": png(4, (20, 30))})
    dataset = hb.data.from_webdataset(path, "png;jpg", color_mode="grayscale", image_size=(6, 8))
    (batch,) = rows(dataset.batch(2))
    assert batch.shape == (2, 6, 8, 1)
    assert batch.dtype == np.uint8


def test_the_key_and_compressed_archives(tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "a.tar", {"x/a.b.txt": b"1", "x/c.b.txt": b"2", "y/c.b.txt": b"3"})
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, tmp_path / "a.tar.gz"):
        assert rows(hb.data.from_webdataset(path, "__key__", "b.txt")) == [("a", "1"), ("c", "2"), ("c", "3")]


@pytest.mark.parametrize("workers", [None, 1, 3, -1])
def test_the_order_depends_on_the_seed_alone(tmp_path: Path, workers: int | None) -> None:
    for index in range(5):
        write_tar(tmp_path / f"{index}.tar", digits(4 * index, 4))
    source = hb.data.from_webdataset(tmp_path, "png", "cls", shuffle_shards=1, num_parallel_calls=workers)
    orders = [[int(y) for _, y in rows(source)] for _ in range(2)]
    assert [order[::4] for order in orders] == [[16, 4, 8, 0, 12], [4, 12, 0, 8, 16]]
    assert all(order[4 * i] + 3 == order[4 * i + 3] for order in orders for i in range(5))


ERRORS = [
    ({"a.png": b"no image", "a.cls": b"1"}, "sample 'a', column 'png': expected an image: not an image of a"),
    ({"a.png": png(1), "a.cls": b"one"}, "sample 'a', column 'cls': expected an integer, got b'one'"),
    ({"a.png": png(1), "a.cls": b"9" * 30}, "sample 'a', column 'cls'"),
    ({"a.png": png(1), "a.cls": b"1", "b.png": png(1)}, "sample 'b': expected a file .cls, got .png"),
    ({"a.png": png(1), "a.cls": b"1", "a.CLS": b"1"}, "sample 'a': two files end in .cls"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "message"), ERRORS)
def test_errors_name_archive_and_sample(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    path = write_tar(tmp_path / "a.tar", files)
    with pytest.raises(ValueError, match=rf"a.tar, {message}"):
        rows(hb.data.from_webdataset(path, "png", "cls"))


def test_values_that_are_refused(tmp_path: Path) -> None:
    def read(name: str, content: bytes) -> list:
        return rows(hb.data.from_webdataset(write_tar(tmp_path / "a.tar", {name: content})))

    with pytest.raises(ValueError, match=r"pickled objects are never read"):
        read("a.npy", npy(np.array([{}], dtype=object)))
    huge = npy(np.zeros(3)).replace(b"(3,), }", b"(3000000000,), }")
    with pytest.raises(ValueError, match=r"column 'npy': declares float64 of shape \(3000000000,\)"):
        read("a.npy", huge)
    cut = npy(np.zeros(3)).replace(b"(3,), }", b"(3,     ")
    with pytest.raises(ValueError, match=r"column 'npy': .*(header|parse)"):
        read("a.npy", cut)
    with pytest.raises(ValueError, match=r"too many nested lists"):
        read("a.json", b"[" * 200_000)
    with pytest.raises(ValueError, match=r"column 'txt': 'utf-8' codec"):
        read("a.txt", b"\xff")


def test_archives_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> list:
        return rows(hb.data.from_webdataset(path, "txt"))

    content = write_tar(tmp_path / "a.tar", {"a.txt": b"1" * 600, "b.txt": b"2" * 600}).read_bytes()
    for name, damaged, message in (
        ("cut", content[:1400], "unexpected end of data|truncated"),
        ("within", content[:2500], "it ends within 'b.txt'"),
        ("header", content[:1536] + b"x" * 20 + content[1556:], "the header at byte 1,536 is damaged"),
        ("empty", b"", "empty file"),
        ("text", b"hello" * 500, "invalid header"),
    ):
        (tmp_path / f"{name}.tar").write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{name}.tar is not a readable tar archive: .*({message})"):
            read(tmp_path / f"{name}.tar")
    link = write_tar(tmp_path / "link.tar", {"a.txt": b""}, type=tarfile.SYMTYPE, linkname="/etc/passwd")
    with pytest.raises(ValueError, match=r"'a.txt' is a link"):
        read(link)
    monkeypatch.setattr(tar_files, "MAX_FILE_BYTES", 500)
    with pytest.raises(ValueError, match=r"'a.txt' has 600 bytes, more than the limit of 500"):
        read(tmp_path / "a.tar")
    with hb.saving.budget(bytes=1000):
        assert len(read(tmp_path / "a.tar")) == 2


def test_headers_of_any_length_are_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.txt")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 2048)
    with pytest.raises(ValueError, match=r"a header declares 1,099,511,627,776 bytes"):
        hb.data.from_webdataset(tmp_path / "a.tar", "txt")


def test_unknown_columns(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", digits(0, 1))
    with pytest.raises(ValueError, match=r"sample '0000': expected a file .jpg, got .png, .cls"):
        hb.data.from_webdataset(path, "jpg")
    with pytest.raises(ValueError, match=r"has no files"):
        hb.data.from_webdataset(write_tar(tmp_path / "b.tar", {}))
