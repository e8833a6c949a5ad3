"""Devices of this machine, the engines that reach them, and a check of each engine.

Devices are found by the system's word: no library is imported, and nothing is installed. An engine is checked
in a process of its own, `python -m hornbeam.diagnostics.devices NAME`, since drivers may hang or crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbeam._internal.extras import install_command

# Seconds for a driver or a library to answer, and for the check of an engine, with the import of its library.
_SECONDS, CHECK_SECONDS = 60, 180
# The program that checks one engine.
CHECKER = [sys.executable, "-m", "hornbeam.diagnostics.devices"]
# Steps of a check, and the largest difference of a loss from the reference engine's that is rounding.
STEPS, LIMIT = 5, 1e-4
# PCI's number of Intel as a maker.
_INTEL = "0x8086"
# Where Windows lists display adapters, one numbered key each.
_ADAPTERS = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
# Kind of device -> names of the engines that reach it.
ENGINES = {
    "cpu": ("native", "jax:cpu", "torch:cpu", "tensorflow:cpu", "onnxruntime:cpu", "pytensor", "mlx:cpu"),
    "nvidia": ("torch:cuda", "jax:gpu", "tensorflow:gpu"),
    "amd": ("torch:cuda", "jax:gpu"),
    "intel": ("torch:xpu",),
    "apple": ("mlx:gpu", "torch:mps"),
    "windows": ("torch:privateuseone", "onnxruntime:dml"),
}


@dataclass(frozen=True)
class Device:
    """A device of this machine.

    Attributes:
        kind: "cpu", "nvidia", "amd", "intel", "apple", or "windows" for any other GPU there.
        name: What the system calls it.
    """

    kind: str
    name: str

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines that reach it, whether or not their libraries are installed."""
        from hornbeam.engines import available

        known = available()
        return tuple(name for name in ENGINES[self.kind] if name.partition(":")[0] in known)

    @property
    def install(self) -> str:
        """Command that installs the first of these engines; "" where nothing is needed."""
        if self.kind == "cpu":
            return ""
        if self.kind == "apple":
            return install_command(self.engines[0].partition(":")[0])
        return {
            "nvidia": install_command("torch"),
            "amd": "pip install torch, with the index of the ROCm build that pytorch.org names",
            "intel": "pip install torch --index-url https://download.pytorch.org/whl/xpu",
            "windows": "pip install torch-directml",
        }[self.kind]


@dataclass(frozen=True)
class Check:
    """Result of a check of an engine.

    Attributes:
        engine: Its name, with the device.
        error: Why it does not compute, "" if it does.
        loss_difference: Largest difference of a loss from that of the reference engine.
        seconds: Time of a step.
        native_seconds: Time of that step on the native engine.
    """

    engine: str
    error: str = ""
    loss_difference: float = 0.0
    seconds: float = 0.0
    native_seconds: float = 0.0

    @property
    def differs(self) -> bool:
        """True if it computes, and its losses differ from the reference engine's by more than rounding."""
        return not self.error and not self.loss_difference <= LIMIT  # NaN differs


def output_of(command: list[str]) -> str:
    """Return what a command prints; "" if it fails or does not end."""
    status, output = _run(command, _SECONDS)
    return output if status == 0 else ""


def _run(command: list[str], seconds: float) -> tuple[int | None, str]:
    """Return the status of a command, None if it does not end, and what it prints.

    A process that waits for a driver may outlive being killed, and one that it started may keep its output
    open: after the time limit nothing waits for either.
    """
    environment = {
        **os.environ,
        "HORNBEAM_ENGINE": "native",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL, env=environment
            )
        except OSError:
            return 127, ""
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
            return None, ""
        file.seek(0)
        return status, file.read()


def find_devices(root: Path = Path("/"), run: Callable[[list[str]], str] = output_of) -> list[Device]:
    """Return the devices of this machine, the CPU first.

    Args:
        root: Folder with proc, dev and sys.
        run: Function that returns the output of a command, "" if it fails.
    """
    gpus = [Device("nvidia", name) for name in _nvidia(root, run)]
    if (root / "dev/kfd").exists():
        gpus.append(Device("amd", "an AMD GPU"))
    vendors = [_text(path) for path in (root / "sys/class/drm").glob("card*/device/vendor")]
    # Outputs of a card (card0-DP-1) have the same device.
    gpus += [Device("intel", "a GPU of Intel")] * (_INTEL in vendors)
    if sys.platform == "darwin" and platform.machine() == "arm64":
        gpus.append(Device("apple", "the GPU of an Apple chip"))
    if sys.platform == "win32":
        gpus += [Device("windows", name) for name in _windows_adapters() if not (gpus and "NVIDIA" in name)]
    return [Device("cpu", _cpu(root)), *gpus]


def _nvidia(root: Path, run: Callable[[list[str]], str]) -> list[str]:
    """Return the names of NVIDIA's GPUs, by nvidia-smi or else by the driver's files."""
    if shutil.which("nvidia-smi"):
        listed = run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
        if listed.strip():
            return [line.strip() for line in listed.splitlines() if line.strip()]
    files = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    models = [re.search(r"^Model:\s*(.+)", _text(path), re.MULTILINE) for path in files]
    if models or not (root / "dev/nvidia0").exists():
        return [match[1].strip() if match else "an NVIDIA GPU" for match in models]
    return ["an NVIDIA GPU whose driver does not answer (nvidia-smi)"]


def _windows_adapters() -> Iterator[str]:
    """Yield the names of display adapters in the registry of Windows."""
    winreg: Any = importlib.import_module("winreg")
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _ADAPTERS) as adapters:
            for index in range(winreg.QueryInfoKey(adapters)[0]):
                name = winreg.EnumKey(adapters, index)
                if name.isdigit():
                    with winreg.OpenKey(adapters, name) as adapter:
                        yield str(winreg.QueryValueEx(adapter, "DriverDesc")[0])
    except OSError:  # no such key, or not for this user
        return


def _cpu(root: Path) -> str:
    """Return the CPU's name, vector instructions that the native engine uses, and number of CPUs."""
    match = re.search(r"^model name\s*:\s*(.+)", _text(root / "proc/cpuinfo"), re.MULTILINE)
    name = match[1].strip() if match else platform.processor() or platform.machine()
    try:
        from hornbeam import _native
    except ImportError:  # `hornbeam doctor` says why
        return f"{name}, {available_cpus()} CPUs"
    return f"{name}, {available_cpus()} CPUs, {_native.cpu_features()['isa']}"


def available_cpus() -> int:
    """Return the number of CPUs that this process may use, also where the native engine is missing."""
    try:
        from hornbeam import _native
    except ImportError:
        return os.cpu_count() or 1
    return _native.available_cpus()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def candidate_engines() -> tuple[list[str], dict[str, Exception]]:
    """Return the engines that reach a device of this machine, for `fit(engine="auto")`.

    Returns:
        Names of those that are installed and start, and why others that are installed do not.
    """
    from hornbeam.engines import available, get_engine

    listed = {name.partition(":")[0] for names in ENGINES.values() for name in names}
    registered = [name for name in available() if name not in listed and name != "reference"]
    names: list[str] = []
    failures: dict[str, Exception] = {}
    for name in dict.fromkeys([*(n for device in find_devices() for n in device.engines), *registered]):
        try:
            get_engine(name)
        except ImportError:
            continue
        except Exception as error:  # whatever a library or a driver raises
            failures[name] = error
        else:
            names.append(name)
    return names, failures


def check_apart(name: str) -> Check | None:
    """Check an engine in a process of its own, for at most `CHECK_SECONDS`.

    Args:
        name: Name of the engine, with the device.

    Returns:
        What `check_engine` returns there, or that it hangs or crashes; None if its library is not installed.
    """
    status, output = _run([*CHECKER, name], CHECK_SECONDS)
    if status is None:
        return Check(name, f"no answer in {CHECK_SECONDS:g} seconds")
    if status:
        return Check(name, f"its process ends with status {status}")
    fields = json.loads(output.splitlines()[-1])  # libraries may print, too
    return None if fields is None else Check(**fields)


def main(name: str) -> None:
    """Print the check of an engine as JSON, null if its library is not installed."""
    from hornbeam.engines import get_engine

    try:
        get_engine(name)
    except ImportError:
        print("\nnull")
        return
    except Exception:  # installed and broken: the check says how
        pass
    print(f"\n{json.dumps(dataclasses.asdict(check_engine(name)))}")


def check_engine(name: str) -> Check:
    """Train a small convolutional net on an engine, on the native and on the reference engine.

    Args:
        name: Name of the engine, with the device.
    """
    from hornbeam.diagnostics.engine_comparison import engine_results

    try:
        model, x, y = _trial()
        names = list(dict.fromkeys(["reference", "native", name]))
        results = {result.engine: result for result in engine_results(model, x, y, STEPS, names, len(x))}
    except Exception as error:  # whatever a library or a driver raises is the result
        return Check(name, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    result = results[name]
    return Check(name, "", result.loss_difference, result.seconds, results["native"].seconds)


def _trial() -> tuple[Any, Any, Any]:
    """Return a small compiled model with samples and labels."""
    import numpy as np

    from hornbeam import Sequential, initializers, layers

    rng = np.random.default_rng(0)
    seeded = [initializers.GlorotUniform(seed) for seed in (1, 2)]
    model = Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(16, 3, activation="relu", kernel_initializer=seeded[0]),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2, seed=3),
            layers.Dense(10, kernel_initializer=seeded[1]),
        ]
    )
    model.compile("adam", "mean_squared_error")
    return model, rng.normal(size=(32, 16, 16, 3)).astype("float32"), rng.normal(size=(32, 10))


if __name__ == "__main__":
    main(sys.argv[1])
