"""Conclusions of `hornbeam doctor`: what is wrong with this installation, and which GPUs can be used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hornbeam.diagnostics.devices import available_cpus, find_devices, output_of


@dataclass(frozen=True)
class Conclusion:
    """A problem, which makes programs fail, or advice for faster ones."""

    text: str
    is_problem: bool = True


def conclusions() -> Iterator[Conclusion]:
    """Yield what is wrong, and what could be faster."""
    yield from _requirements()
    yield from _engine()
    yield from _threads()


def _requirements() -> Iterator[Conclusion]:
    """Compare the installed versions with those that this version of Hornbeam requires."""
    try:
        requirements = importlib.metadata.requires("hornbeam") or []
    except importlib.metadata.PackageNotFoundError:  # imported from a folder of sources
        return
    for requirement in requirements:
        match = re.fullmatch(r"([\w.-]+)\s*>=\s*([\d.]+)", requirement.partition(";")[0].strip())
        if match is None or "extra ==" in requirement:
            continue
        name, needed = match.groups()
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Conclusion(f"{name} is missing: pip install '{name}>={needed}'")
            continue
        if _numbers(installed) < _numbers(needed):
            yield Conclusion(f"{name} {installed} is too old: pip install --upgrade '{name}>={needed}'")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _engine() -> Iterator[Conclusion]:
    """Compare a product of matrices with NumPy's."""
    import numpy as np

    from hornbeam import ops
    from hornbeam.engines import current_engine

    a, b = np.random.default_rng(0).normal(size=(2, 65, 65)).astype("float32")
    try:
        name = current_engine().name
        difference = float(np.abs(np.asarray(ops.matmul(a, b)) - a @ b).max())
    except Exception as error:  # whatever a broken installation raises is the answer
        chosen = os.environ.get("HORNBEAM_ENGINE")
        advice = (
            f"HORNBEAM_ENGINE={chosen} selects it: unset the variable for the native engine"
            if chosen
            else "Reinstall Hornbeam; in a checkout `make develop` builds the native engine"
        )
        yield Conclusion(f"the engine does not compute ({type(error).__name__}: {error}). {advice}")
        return
    if not difference < 1e-3:
        yield Conclusion(f"the engine {name} computes a wrong product: it differs by {difference:.2g}")
    if name == "reference":
        yield Conclusion("the engine reference is exact and very slow: native is for training", False)


def _threads() -> Iterator[Conclusion]:
    limit = os.environ.get("HORNBEAM_THREADS", "")
    cpus = available_cpus()
    if limit.isdigit() and 0 < int(limit) < cpus:
        yield Conclusion(f"HORNBEAM_THREADS={limit} leaves {cpus - int(limit)} of {cpus} CPUs unused", False)


# -- GPUs ----------------------------------------------------------------------------------------------------

# Module -> code that prints the number of GPUs that the library can use, and the engine's name.
_PROBES = {
    "torch": ("import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)", "torch"),
    "jax": ("import jax; print(sum(d.platform in ('gpu', 'cuda', 'rocm') for d in jax.devices()))", "jax"),
    "tensorflow": (
        "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))",
        "tensorflow",
    ),
}


def gpu_rows(
    names: list[str] | None = None, run: Callable[[list[str]], str] | None = None
) -> tuple[list[tuple[str, str]], list[Conclusion]]:
    """Return rows of the report about GPUs, and advice.

    Libraries are asked in processes of their own, and only if the machine has a GPU.
    """
    if names is None:  # what Intel and Windows have is for `hornbeam devices`
        names = [device.name for device in find_devices() if device.kind in ("nvidia", "amd", "apple")]
    run = output_of if run is None else run
    if not names:
        return [("gpu", "none; the native engine computes on the CPU")], []
    rows = [("gpu", name) for name in names]
    usable = False
    for module, (code, engine) in _PROBES.items():
        if importlib.util.find_spec(module) is None:
            rows.append(("", f"engine {engine}: not installed"))
            continue
        last = (run([sys.executable, "-c", code]).split() or [""])[-1]
        count = int(last) if last.isdigit() else 0
        usable = usable or count > 0
        text = f'yes, {count}: set_engine("{engine}")' if count else f"{module} sees no GPU"
        rows.append(("", f"engine {engine}: {text}"))
    rows.append(("", "engine native: computes on the CPU"))
    if usable or "Apple" in names[0]:
        return rows, []
    text = (
        "no installed engine can use the GPU: `pip install torch`, or `pip install 'jax[cuda12]'`, and then "
        'hornbeam.set_engine("torch") or ("jax")'
    )
    return rows, [Conclusion(text, is_problem=False)]
