"""Devices of PyTorch: which one an engine gets, what it lacks, and how that is computed or refused."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node

CPU = torch.device("cpu")
# PyTorch's switches, read when it starts: what a device lacks runs on the CPU.
_SWITCHES = {"mps": "PYTORCH_ENABLE_MPS_FALLBACK", "xpu": "PYTORCH_ENABLE_XPU_FALLBACK"}
_COMPLETE = ("cpu", "cuda", "meta")
_UNCERTAIN = ("float64", "bfloat16", "uint16", "uint32")


def select(name: str | None) -> torch.device:
    """Return the device of a name: "gpu" is this machine's accelerator, None that or the CPU.

    Raises:
        RuntimeError: If PyTorch does not see the device.
        ImportError: If the device needs a library that is not installed.
    """
    kind, _, index = (name or "gpu").partition(":")
    if kind == "gpu":
        accelerator = _accelerator()
        if accelerator is None and name is not None:
            raise RuntimeError(f"PyTorch {torch.__version__} sees no GPU of this machine, asked for {name!r}")
        kind = accelerator or "cpu"
        if name is None and accelerator:
            print(f'torch: the device is {kind}, as torch.accelerator says; "torch:cpu" is the CPU',
                  file=sys.stderr)  # fmt: skip
    if kind == "privateuseone":
        _load_directml()
    device = torch.device(f"{kind}:{index}" if index else kind)
    torch.empty(0, device=device)  # fails here if the device does not exist
    return device


def _accelerator() -> str | None:
    """Return the kind of this machine's accelerator. A build of PyTorch has one of cuda, xpu and mps."""
    if not hasattr(torch, "accelerator"):  # before PyTorch 2.6
        return "cuda" if torch.cuda.is_available() else None
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return kind.type if kind is not None and kind.type in ("cuda", "xpu", "mps") else None


def _load_directml() -> None:
    try:
        import torch_directml  # noqa: F401  (it adds the device to PyTorch)
    except ImportError as error:
        raise ImportError(
            f'"torch:privateuseone" is DirectML, which needs torch-directml ({error}): '
            "pip install torch-directml, under Windows or WSL"
        ) from error


def lacking(device: torch.device) -> frozenset[str]:
    """Return the dtypes that a device cannot store or compute, by trying."""
    if device.type in _COMPLETE:
        return frozenset()
    return frozenset(dtype for dtype in _UNCERTAIN if not _has(device, getattr(torch, dtype)))


def _has(device: torch.device, dtype: torch.dtype) -> bool:
    try:
        x = torch.ones(1, dtype=dtype).to(device)
        (x * x if dtype.is_floating_point else x.to(torch.int64)).cpu()
    except (RuntimeError, TypeError):
        return False
    return True


def on_cpu(fn: Callable[..., Any], home: Callable[[torch.dtype], torch.device]) -> Callable[..., Any]:
    """Compute `fn` on the CPU; its results move to the home of their dtypes."""

    def moved(*operands: Any, **params: Any) -> Any:
        results = fn(*(x.to(CPU) for x in operands), **params)
        if isinstance(results, tuple):
            return tuple(x.to(home(x.dtype)) for x in results)
        return results.to(home(results.dtype))

    return moved


def explained(fn: Callable[..., Any], node: Node, device: torch.device) -> Callable[..., Any]:
    """Let PyTorch's refusals of `fn` name the primitive, and say what to do."""

    def explaining(*operands: Any, **params: Any) -> Any:
        try:
            return fn(*operands, **params)
        except (RuntimeError, TypeError) as error:
            if "out of memory" in str(error):
                raise
            switch = _SWITCHES.get(device.type)
            advice = 'select another engine: hornbeam.config.set_engine("native")'
            if switch is not None and os.environ.get(switch) != "1":
                advice = f"set {switch}=1 before Python starts, and it runs on the CPU; or {advice}"
            operand = node.inputs[0].type if node.inputs else node.type
            raise MissingPrimitiveError(
                f"PyTorch does not compute {node.name!r} of {operand} on {device.type}{where(node)}: "
                f"{str(error).splitlines()[0][:200]}. To go on, {advice}"
            ) from error

    return explaining


@functools.cache
def backend(kind: str) -> str | None:
    """Return PyTorch's own backend of collectives on a kind of device; None if they go through the CPU."""
    name = {"cuda": "nccl", "xpu": "xccl"}.get(kind)
    return name if name and getattr(dist, f"is_{name}_available", bool)() else None
