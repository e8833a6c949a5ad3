"""`hornbeam devices`: what is gpus by the system's word, which engines reach it, and the check of each."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from hornbeam import engines
from hornbeam.cli import main
from hornbeam.diagnostics import devices
from hornbeam.diagnostics.devices import Check, Device, check_engine, find_devices
from tests.helpers import engine_checker
from tests.helpers.paths import HELPERS


def silent(command: list[str]) -> str:
    return ""


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)


def test_a_machine_without_a_gpu(tmp_path: Path, without_tools: None) -> None:
    write(tmp_path, "proc/cpuinfo", "processor : 0\nmodel name\t: Fast CPU\n")
    (cpu,) = find_devices(tmp_path, silent)
    assert cpu.kind == "cpu"
    assert cpu.name.startswith("Fast CPU, ")
    assert cpu.install == ""
    assert {"native", "jax:cpu", "torch:cpu"} <= set(cpu.engines)


def test_gpus_of_linux(tmp_path: Path, without_tools: None) -> None:
    for number in (0, 1):
        path = f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information"
        write(tmp_path, path, f"Model: \t\t NVIDIA RTX {number}\nIRQ: 5\n")
    write(tmp_path, "dev/kfd")
    write(tmp_path, "sys/class/drm/card0/device/vendor", "0x1002\n")
    for name in ("card1", "card1-DP-1"):
        write(tmp_path, f"sys/class/drm/{name}/device/vendor", "0x8086\n")
    gpus = find_devices(tmp_path, silent)[1:]
    assert [(device.kind, device.name) for device in gpus] == [
        ("nvidia", "NVIDIA RTX 0"),
        ("nvidia", "NVIDIA RTX 1"),
        ("amd", "an AMD GPU"),
        ("intel", "a GPU of Intel"),
    ]
    assert gpus[0].engines[0] == "torch:cuda"
    assert gpus[3].engines == ("torch:xpu",)
    assert all(device.install.startswith("pip install ") for device in gpus)


def test_nvidias_tool_has_the_first_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    listed = "NVIDIA H100, 81559 MiB\nNVIDIA H100, 81559 MiB\n"
    gpus = find_devices(tmp_path, lambda command: listed)[1:]
    assert gpus == [Device("nvidia", "NVIDIA H100, 81559 MiB")] * 2
    write(tmp_path, "dev/nvidia0")
    (gpu,) = find_devices(tmp_path, silent)[1:]
    assert "does not answer" in gpu.name


def test_a_mac(tmp_path: Path, without_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    (gpu,) = find_devices(tmp_path, silent)[1:]
    assert gpu.kind == "apple"
    assert "torch:mps" in gpu.engines
    assert "pip install" in gpu.install


def test_windows(tmp_path: Path, without_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = {"0000": "Radeon", "0001": "Arc"}
    keys = [*adapters, "Properties"]
    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE="",
        OpenKey=lambda key, name: nullcontext(name),
        QueryInfoKey=lambda key: (3, 0, 0),
        EnumKey=lambda key, index: keys[index],
        QueryValueEx=lambda key, name: (adapters[key], 1),
    )
    monkeypatch.setitem(sys.modules, "winreg", cast(ModuleType, registry))
    monkeypatch.setattr(sys, "platform", "win32")
    gpus = find_devices(tmp_path, silent)[1:]
    assert gpus == [Device("windows", "Radeon"), Device("windows", "Arc")]
    assert gpus[0].engines == ("torch:privateuseone", "onnxruntime:dml")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_known", "_loaded"):
        monkeypatch.setattr(engines, name, dict(getattr(engines, name)))
    for name, make in engine_checker.FAKES.items():
        engines.register(name, make)
    monkeypatch.setattr(devices, "CHECKER", [sys.executable, str(HELPERS / "engine_checker.py")])


def test_checks_of_engines(fakes: None) -> None:
    good, wrong, bad = map(check_engine, ("slow", "wrong", "broken:gpu"))
    assert not good.differs
    assert not good.error
    assert good.seconds > 0 < good.native_seconds
    assert wrong.differs
    assert wrong.loss_difference > 1e-3
    assert bad.error == "RuntimeError: the driver is too old"
    assert not bad.differs


def test_checks_in_processes_of_their_own(fakes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    good = devices.check_apart("slow")
    assert good is not None
    assert not good.error
    assert good.seconds > 0
    assert devices.check_apart("absent") is None
    assert devices.check_apart("crashing") == Check("crashing", "its process ends with status 3")
    monkeypatch.setattr(devices, "CHECK_SECONDS", 2)
    started = time.monotonic()
    assert devices.check_apart("hanging") == Check("hanging", "no answer in 2 seconds")
    assert time.monotonic() - started < 60


def test_the_program_that_checks() -> None:
    check = devices.check_apart("native")
    assert check is not None
    assert not check.error
    assert not check.differs


def test_the_command(
    fakes: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = [Device("cpu", "Fast CPU"), Device("nvidia", "RTX")]
    monkeypatch.setattr(devices, "find_devices", lambda: machine)
    monkeypatch.setattr(devices, "ENGINES", {"cpu": ("native", "wrong", "absent"), "nvidia": ("broken",)})
    monkeypatch.setattr(devices, "check_apart", lambda name: None if name == "absent" else check_engine(name))
    assert main(["devices", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert [device["name"] for device in shown["devices"]] == ["Fast CPU", "RTX"]
    assert [(check["engine"], check["differs"]) for check in shown["checks"]] == [
        ("native", False),
        ("wrong", True),
        ("broken", False),
    ]
    assert main(["devices"]) == 1
    text = capsys.readouterr().out
    assert "Fast CPU" in text
    assert "NO (" in text
    assert "the driver is too old" in text
    assert main(["devices", "--no-check"]) == 0
    assert "Checks" not in capsys.readouterr().out
