"""Duplicates that are put into data on purpose are found and named, and nothing else is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hornbeam as hb
from hornbeam.data import find_duplicates
from hornbeam.data.inspection import image_hashing as d
from hornbeam.data.inspection.duplicate_groups import Duplicates


def scene(rng: np.random.Generator, height: int = 96, width: int = 128) -> np.ndarray:
    """An image with large and small structure: noise of three scales."""
    array = np.zeros((height, width, 3))
    for cells, strength in ((4, 120), (12, 70), (40, 30)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype("uint8"))
        array += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) * (strength / 255)
    return array.clip(0, 255).astype("uint8")


def names(result: Duplicates) -> list[tuple[str, list[str]]]:
    return [(group.kind, [str(m) for m in group.members]) for group in result.groups]


@pytest.mark.parametrize("shape", [(), (5,), (9, 7), (40, 40, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool", "int64"])
def test_the_same_rows(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = (np.arange(30).reshape(30, *([1] * len(shape))) + np.zeros(shape)).astype(dtype)
    if dtype == "bool":
        x = rng.random((30, *shape)) < 0.5
    if shape != () or dtype != "bool":
        x[[11, 23]] = x[4]
    y = x[[7]].astype("float64")
    report = find_duplicates({"train": x, "test": y}, near=False)
    wanted: dict[bytes, list[str]] = {}
    for number, row in enumerate(np.concatenate([x.astype("float64"), y])):
        name = f"train[{number}]" if number < 30 else "test[0]"
        wanted.setdefault(row.tobytes(), []).append(name)
    assert sorted(members for _, members in names(report)) == sorted(g for g in wanted.values() if len(g) > 1)
    assert any("test[0]" in map(str, group.members) for group in report.across)


def test_numbers_that_are_equal_are_the_same() -> None:
    x = np.array([[0.0, np.nan], [1.0, 2.0], [-0.0, -np.nan]], "float32")
    assert names(find_duplicates(x)) == [("exact", ["row 0", "row 2"])]
    assert "3 samples, 1 of them redundant" in str(find_duplicates(x))
    assert str(find_duplicates(x[:2])) == "2 samples, no duplicates."


def test_rows_to_leave_out() -> None:
    x = np.array([1, 2, 1, 3, 2])
    report = find_duplicates({"train": x, "test": np.array([9, 3, 9])})
    assert report.rows("train").tolist() == [2, 4]
    assert report.rows("test").tolist() == [1, 2]
    assert [group.parts for group in report.groups] == [["train", "test"], ["train"], ["train"], ["test"]]
    kept = np.delete(x, report.rows("train"))
    assert len(find_duplicates(kept)) == 0


def changed(image: np.ndarray) -> dict[str, np.ndarray]:
    """The image, as it comes back from the world."""
    buffer = io.BytesIO()
    shown = Image.fromarray(image)
    shown.save(buffer, "JPEG", quality=50)
    size = shown.size
    small = shown.resize((size[0] // 2, size[1] // 2), Image.Resampling.BILINEAR)
    return {
        "compressed": np.asarray(Image.open(buffer)),
        "made small and large again": np.asarray(small.resize(size, Image.Resampling.BILINEAR)),
        "brighter": (image * 0.9 + 20).astype("uint8"),
    }


def test_near_images_of_arrays() -> None:
    """40 scenes and changed ones of 10 of them: all of these are found, and no two scenes are one."""
    rng = np.random.default_rng(1)
    scenes = np.stack([scene(rng) for _ in range(40)])
    for how in changed(scenes[0]):
        again = np.stack([changed(image)[how] for image in scenes[:10]])
        for scale in (1, 1 / 255):
            report = find_duplicates({"train": scenes * scale, "test": again * scale})
            wanted = [("near", [f"train[{i}]", f"test[{i}]"]) for i in range(10)]
            assert names(report) == wanted, how


def test_many_frames_of_one_film_are_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is near to each: that is found in portions, however small."""
    rng = np.random.default_rng(5)
    one, other = scene(rng), scene(rng)
    noise = rng.integers(-2, 3, (60, *one.shape))
    x = (np.concatenate([np.stack([one] * 40), np.stack([other] * 20)]) + noise).clip(0, 255).astype("uint8")
    wanted = [("near", [f"row {i}" for i in range(40)]), ("near", [f"row {i}" for i in range(40, 60)])]
    assert names(find_duplicates(x)) == wanted
    monkeypatch.setattr(d, "_PAIRS", 100)
    monkeypatch.setattr(d, "BLOCK", 7)
    assert names(find_duplicates(x)) == wanted


def test_flat_images_are_near_by_their_colour() -> None:
    greys = np.array([10, 11, 60, 61, 200])
    x = np.broadcast_to(greys[:, None, None], (5, 32, 32)).astype("uint8")
    assert names(find_duplicates(x)) == [("near", ["row 0", "row 1"]), ("near", ["row 2", "row 3"])]
    assert len(find_duplicates(x, near=False)) == 0
    noisy = x + np.random.default_rng(6).integers(0, 2, x.shape).astype("uint8")
    assert names(find_duplicates(noisy)) == names(find_duplicates(x))


def test_every_close_pair_is_a_candidate() -> None:
    """By pieces or all with all: the pairs that plain counting finds."""
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 2**64, 300, dtype=np.uint64)
    for bits in range(12):
        flips = np.uint64(0)
        for bit in rng.choice(64, bits, replace=False):
            flips |= np.uint64(1) << np.uint64(bit)
        hashes = np.append(hashes, hashes[bits] ^ flips)
    apart = np.array([[bin(int(a) ^ int(b)).count("1") for b in hashes] for a in hashes])
    alike = np.append(hashes & np.uint64(0xFF), hashes)  # most pieces in common
    for values, counts in ((hashes, apart), (alike, None)):
        if counts is None:
            counts = np.array([[bin(int(a) ^ int(b)).count("1") for b in values] for a in values])
        for distance in (0, 3, 8, 20):
            actual = {
                (min(a, b), max(a, b))
                for left, right in d.candidate_pairs(values, distance)
                for a, b in zip(left.tolist(), right.tolist(), strict=True)
            }
            wanted = set(
                zip(*(side.tolist() for side in np.nonzero(np.triu(counts <= distance, 1))), strict=True)
            )
            assert actual == wanted


def test_hash_of_known_images() -> None:
    ramp = np.arange(36.0)[None].repeat(32, 0)
    left, right, flat = ramp[:, ::-1], ramp, ramp * 0
    assert [int(h) for h in d.difference_hashes(np.stack([left, right, flat]))] == [0, 2**64 - 1, 0]
    half = np.vstack([right[:16], left[:16]])
    assert int(d.difference_hashes(half[None])[0]) == 2**32 - 1


def test_counting_of_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(3).integers(0, 2**64, (5, 7), dtype=np.uint64)
    wanted = [[bin(int(word)).count("1") for word in row] for row in words]
    assert d.count_bits(words).tolist() == wanted
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert d.count_bits(words).tolist() == wanted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(4)
    for part in ("train", "test"):
        (root / part).mkdir()
    scenes = [Image.fromarray(scene(rng)) for _ in range(8)]
    for number, image in enumerate(scenes):
        image.save(root / "train" / f"{number}.png")
    scenes[2].save(root / "test" / "pixels.bmp")
    scenes[3].resize((64, 48)).save(root / "test" / "small.jpg", quality=60)
    (root / "test" / "bytes.png").write_bytes((root / "train" / "5.png").read_bytes())
    (root / "test" / "broken.png").write_bytes((root / "train" / "6.png").read_bytes()[:2000])
    (root / "test" / "text.gif").write_text("not an image")
    return root


def test_files(folder: Path) -> None:
    report = find_duplicates({part: folder / part for part in ("train", "test")})
    short = [(kind, [str(Path(m).relative_to(folder)) for m in members]) for kind, members in names(report)]
    assert short == [
        ("exact", ["train/2.png", "test/pixels.bmp"]),
        ("near", ["train/3.png", "test/small.jpg"]),
        ("exact", ["train/5.png", "test/bytes.png"]),
    ]
    assert len(report.across) == 3
    reasons = {Path(path).name: reason for path, reason in report.bad.items()}
    assert reasons.keys() == {"broken.png", "text.gif"}
    assert reasons["text.gif"] == "not an image of a known format"
    for name in ("small.jpg", "broken.png"):
        assert name in str(report)
    paths = sorted(map(str, folder.rglob("*.png")))
    assert [kind for kind, _ in names(find_duplicates(paths, near=False))] == ["exact"]
    assert find_duplicates(folder).samples == 13


@pytest.mark.parametrize(
    ("data", "settings", "error", "name"),
    [
        (np.array(["a", "b"]), {}, TypeError, "must be an array of numbers"),
        (np.float32(1), {}, TypeError, "first axis of samples"),
        ({"a": np.ones((2, 3)), "b": np.ones((2, 4))}, {}, ValueError, "one shape in all parts"),
        (np.ones((2, 3)), {"near": True}, ValueError, "omit near"),
        ("nowhere", {}, FileNotFoundError, "does not exist"),
        ({"a": np.ones(2), "b": ["x.png"]}, {}, ValueError, "all files or all arrays"),
        (np.ones(2), {"distance": 64}, ValueError, "0 to 63 bits"),
    ],
)
def test_mistakes(data: Any, settings: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        find_duplicates(data, **settings)


def test_tensors_are_arrays() -> None:
    assert names(find_duplicates(hb.ops.array([1.0, 2.0, 1.0]))) == [("exact", ["row 0", "row 2"])]
