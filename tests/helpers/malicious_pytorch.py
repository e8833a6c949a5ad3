"""Malicious files of PyTorch: one for each rule that a pickle, its tensors or its archive could break."""

from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import pytorch_bytes as torch
from tests.helpers.malicious_files import VALUES
from tests.helpers.malicious_formats import BIAS, Bomb
from tests.helpers.pytorch_bytes import called, mapping, name, pushed, storage, tensor

GOOD = {"dense/kernel": VALUES, "dense/bias": BIAS}


def pytorch_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files."""
    yield from _code(folder)
    yield from _sizes()
    yield from _archives()


def _with(body: bytes) -> bytes:
    """A file with a value beside a right tensor, the numbers of which are in the file."""
    kernel = tensor(storage("0", "FloatStorage", VALUES.size), VALUES.shape)
    program = torch.pickle(mapping({"dense/kernel": kernel, "x": body}))
    return torch.archive(program, {"0": VALUES.tobytes()})


def _code(folder: Path) -> Iterator[tuple[str, bytes]]:
    command = pushed(f"mkdir {folder}/executed")
    yield "os.system", _with(called(name("posix", "system"), command))
    yield "a pickle alone", pickle.dumps(Bomb(folder / "executed"))
    yield "a pickle in the archive", torch.archive(pickle.dumps(Bomb(folder / "executed")), {})
    protocol_4 = pickle.dumps(Bomb(folder / "executed"), 4)
    yield "by names on the stack", torch.archive(protocol_4, {})
    yield "eval", _with(called(name("builtins", "eval"), pushed("__import__('os')")))
    yield "getattr", _with(called(name("builtins", "getattr"), pushed("x"), pushed("join")))
    yield "an attribute of torch", _with(called(name("torch", "load"), pushed("/etc/passwd")))
    yield "a path of attributes", _with(called(name("torch._utils", "sys.modules"), pushed("os")))
    yield "an instance", _with(b"(" + command + b"iposix\nsystem\n")
    yield "an object", _with(b"(" + name("posix", "system") + command + b"o")
    yield "a new object", _with(name("subprocess", "Popen") + b"(" + command + b"t\x81")
    yield "an extension", _with(b"\x82\x01")
    yield "a textual reference", _with(b"Pstorage\n")
    yield "a state of a text", _with(pushed("x") + pushed({"__class__": 1}) + b"b")
    yield "a call of a value", _with(pushed(7) + b"(tR")
    yield "a whole model", _with(called(name("torchvision.models.resnet", "ResNet")))
    yield "a program", _with(called(name("__torch__.Net", "Net")))
    legacy = torch.legacy(torch.pickle(called(name("posix", "system"), command)), {})
    yield "before version 1.6", legacy


def _sizes() -> Iterator[tuple[str, bytes]]:
    four = {"0": bytes(16)}

    def alone(body: bytes, data: dict[str, bytes] | None = None) -> bytes:
        return torch.archive(torch.pickle(mapping({"dense/kernel": body})), four if data is None else data)

    def stored(size: int = 4) -> bytes:
        return storage("0", "FloatStorage", size)

    yield "a petabyte", alone(tensor(stored(), (1 << 25, 1 << 25)))
    yield "a petabyte of one value", alone(tensor(stored(), (1 << 25, 1 << 25), (0, 0)))
    yield "a size that overflows", alone(tensor(stored(), (1 << 61, 1 << 61), (1, 1)))
    yield "a stride that overflows", alone(tensor(stored(), (2, 2), (1 << 61, 1 << 61)))
    yield "negative sizes", alone(tensor(stored(), (-2, -2)))
    yield "a negative stride", alone(tensor(stored(), (2, 2), (-2, 1)))
    yield "a negative offset", alone(tensor(stored(), (2, 2), offset=-4))
    yield "beyond the end", alone(tensor(stored(), (2, 2), offset=1))
    yield "fractional sizes", alone(called(torch.REBUILD, stored(), pushed(0), pushed((2.0,)), pushed((1,))))
    yield "many axes", alone(tensor(stored(), (1,) * 5000))
    yield "a storage of a petabyte", alone(tensor(stored(1 << 50), (2, 2)))
    yield "a storage without numbers", alone(tensor(stored(), (2, 2)), {})
    yield "a path as a key", alone(tensor(storage("../../../etc/passwd", "FloatStorage", 4), (2, 2)))
    twice = {"a": tensor(stored(), (2, 2)), "b": tensor(storage("0", "HalfStorage", 8), (2, 2))}
    yield "a storage of two kinds", torch.archive(torch.pickle(mapping(twice)), four)
    many = {f"x{i}": tensor(stored(), (1 << 22,), (0,)) for i in range(32)}
    yield "overlapping tensors", torch.archive(torch.pickle(mapping(many)), four)
    yield "a dtype of complex numbers", alone(tensor(storage("0", "ComplexFloatStorage", 2), (2,)))

    doubled = b"](" + b"N" * 10 + b"eq\x00"
    for number in range(1, 30):  # lists of ten times the list before
        doubled += (
            b"](" + b"h" + bytes([number - 1]) + (b"h" + bytes([number - 1])) * 9 + b"eq" + bytes([number])
        )
    yield "lists of lists", _with(b"(" + doubled + b"l")
    yield "a list in itself", _with(b"]q\x00h\x00a")
    yield "a deep list", _with(b"](" * 20_000 + b"N" + b"e" * 20_000)
    yield "many empty dicts", _with(b"(" + b"}" * 3_000_000 + b"l")
    pairs = pushed([[str(i), i] for i in range(100_000)]) + b"\x85q\x01" + torch.ORDERED_DICT + b"q\x02"
    yield "copies of dicts", _with(b"(" + pairs + b"h\x02h\x01R" * 100_000 + b"l")
    yield "long names", _with(mapping({"n" * (1 << 20): b"(" + b"N" * 50_000 + b"l"}))
    yield "a text longer than the file", _with(b"\x8d" + struct.pack("<Q", 1 << 50) + b"x")
    kernel = pushed("dense/kernel") + tensor(stored(), (2, 2))
    yield "two values of a key", torch.archive(torch.pickle(b"}(" + kernel + kernel + b"u"), four)
    yield (
        "nested and flat",
        torch.archive(
            torch.pickle(
                mapping({"a.b": tensor(stored(), (4,)), "a": mapping({"b": tensor(stored(), (4,))})})
            ),
            four,
        ),
    )


def _archives() -> Iterator[tuple[str, bytes]]:
    program, data = torch.state_dict(GOOD)
    yield "nothing", b""
    yield "no pickle", torch.archive(b"", {})
    yield "an unfinished pickle", torch.archive(program[:-1], data)
    yield "two pickles", torch.archive(program + program, data)
    yield "big-endian", torch.archive(program, data, byteorder=b"big")
    yield "a tensor alone", torch.archive(torch.pickle(tensor(storage("0", "FloatStorage", 4), (4,))), data)
    yield "of old tar files", b"././@LongLink" + bytes(600)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/data/0", bytes(1 << 28))
    yield "a bomb", buffer.getvalue()
    yield "two folders", _with_member("other/data.pkl", program)
    yield "a folder twice", _with_member("archive/data.pkl", program)
    yield "overlapping members", _overlapping()
    legacy = torch.legacy(*torch.state_dict(GOOD, old=True))
    yield "a cut legacy file", legacy[:-4]
    kernel = tensor(storage("0", "FloatStorage", 1 << 50, old=True), (4,))
    yield "a legacy petabyte", torch.legacy(torch.pickle(mapping({"dense/kernel": kernel})), {"0": bytes(16)})
    yield "legacy without its numbers", torch.legacy(torch.state_dict(GOOD, old=True)[0], {})


def _with_member(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO(torch.archive(*torch.state_dict(GOOD)))
    with zipfile.ZipFile(buffer, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.writestr(member, content)
    return buffer.getvalue()


def _overlapping() -> bytes:
    """An archive of many members that are the same bytes of the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        program, data = torch.state_dict(GOOD)
        file.writestr("archive/data.pkl", program)
        file.writestr("archive/data/0", data["0"])
        file.writestr("archive/data/1", data["1"])
        file.writestr("archive/data/2", os.urandom(1 << 20))
        last = file.infolist()[-1]
        for number in range(3, 20):
            info = zipfile.ZipInfo(f"archive/data/{number}")
            info.header_offset, info.CRC = last.header_offset, last.CRC
            info.file_size = info.compress_size = last.file_size
            file.filelist.append(info)
        file._didModify = True  # type: ignore[attr-defined]
    return buffer.getvalue()
