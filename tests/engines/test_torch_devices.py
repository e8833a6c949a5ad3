"""The torch engine on devices that lack dtypes and operations, as Apple's and Intel's GPUs do.

No such device is here: `PartialDevice` plays one, and PyTorch's meta device shows what leaves a device.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import config, ops
from hornbeam.engines import get_engine, using
from hornbeam.engines.accuracy import EXACT, LIMITS, compare
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.primitive import PRIMITIVES
from tests.helpers.host_models import convnet, data, residual, trained
from tests.helpers.primitive_cases import CASES, dtypes_of, operands

torch = pytest.importorskip("torch")

from hornbeam.engines.torch import TorchEngine, devices  # noqa: E402
from hornbeam.engines.torch.collectives import ProcessGroup  # noqa: E402
from tests.helpers.partial_device import KIND, PartialDevice  # noqa: E402

NAME = f"torch:{KIND}"


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`on(dtypes, operations)` is a device without them, on which everything then runs."""
    monkeypatch.setitem(sys.modules, "torch_directml", types.ModuleType("torch_directml"))
    monkeypatch.delitem(hb.engines._loaded, NAME, raising=False)
    modes: list[PartialDevice] = []

    def enter(dtypes: tuple[str, ...] = (), operations: tuple[str, ...] = ()) -> PartialDevice:
        modes.append(PartialDevice(dtypes, operations))
        modes[-1].__enter__()
        config.set_engine(NAME)
        return modes[-1]

    yield enter
    config.set_engine("native")
    while modes:
        modes.pop().__exit__(None, None, None)


def test_computes_on_the_device(on: Any) -> None:
    device = on()
    np.testing.assert_array_equal(np.asarray(ops.exp(np.zeros(3, "float32"))), np.ones(3))
    assert device.computed["aten::exp"] == 1
    assert get_engine(NAME).devices() == ["gpu:0"]


@pytest.mark.filterwarnings("ignore:privateuseone has no")
@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_agrees_with_the_reference(on: Any, case: tuple[str, int]) -> None:
    """Without float64 and unsigned integers, and nothing on the device is mixed with the CPU's."""
    name, index = case
    on(("float64", "bfloat16", "uint16", "uint32"))
    engine, primitive = get_engine(NAME), PRIMITIVES[name]
    sample = primitive.samples[index]
    for dtype in {"float32", "float64", "int32", "uint32", "bool"} & set(dtypes_of(primitive, sample)):
        error = compare(engine, name, operands(primitive, index, dtype), sample.params, flushes=True)
        assert error.strays == 0
        assert error.ulp <= LIMITS.get(name, EXACT)


@pytest.mark.parametrize("dtypes", [(), ("float64",), ("float64", "bfloat16", "uint16", "uint32")], ids=str)
def test_trains_as_the_native_engine_does(on: Any, dtypes: tuple[str, ...]) -> None:
    expected, weights = trained(convnet, "adam")
    device = on(dtypes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of it is float64
        losses, others = trained(convnet, "adam")
    np.testing.assert_allclose(losses, expected, rtol=2e-4)
    for mine, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(other, mine, atol=3e-3)
    assert device.computed["aten::convolution"] > 0


def test_float64_runs_on_the_cpu_once_said(on: Any) -> None:
    device = on(("float64",))
    x = np.linspace(0, 1, 5)
    wide = ops.exp(ops.convert_to_tensor(x, "float64"))
    with pytest.warns(UserWarning, match=r"privateuseone has no float64, so 'exp'.* runs on the CPU"):
        np.testing.assert_allclose(np.asarray(wide), np.exp(x), rtol=1e-15)
    narrow = ops.cast(ops.log(wide), "float32") * 2
    np.testing.assert_allclose(np.asarray(narrow), 2 * x, atol=1e-6)  # a second warning would be an error
    assert device.computed["aten::exp"] == device.computed["aten::log"] == 0
    assert device.computed["aten::mul"] > 0


@pytest.mark.filterwarnings("ignore:privateuseone has no")
def test_loops_carry_float64(on: Any) -> None:
    on(("float64",))
    start = ops.convert_to_tensor(1.0, "float64")
    _, total = ops.while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, x * 2), (0, start))
    last, _ = ops.scan(lambda c, x: (c + x, c), start, ops.arange(3, dtype="float64"))
    assert float(np.asarray(total)) == 16
    assert float(np.asarray(last)) == 4


def test_an_operation_that_the_device_lacks_is_named(on: Any) -> None:
    on(operations=("aten::erf",))
    with pytest.raises(MissingPrimitiveError, match=r"'erf' of .*float32.* on privateuseone.*The operator"):
        np.asarray(ops.erf(np.ones(3, "float32")))


def test_the_error_names_pytorchs_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*operands: Any) -> Any:
        raise NotImplementedError("The operator 'aten::qr' is not currently implemented for the MPS device.")

    node = types.SimpleNamespace(name="qr", inputs=(), type="float32[3]", scope=None)
    for value, advised in (("0", True), ("1", False)):
        monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", value)
        with pytest.raises(MissingPrimitiveError, match=r"'qr'.*on mps.*set_engine") as error:
            devices.explained(refuse, node, torch.device("mps"))()  # type: ignore[arg-type]
        assert ("PYTORCH_ENABLE_MPS_FALLBACK=1" in str(error.value)) is advised


def test_running_out_of_memory_is_no_missing_operation() -> None:
    def fail() -> None:
        raise RuntimeError("MPS backend out of memory")

    with pytest.raises(RuntimeError, match=r"^MPS backend out of memory"):
        devices.explained(fail, types.SimpleNamespace(), torch.device("mps"))()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "chosen"), [("cuda", "cuda"), ("xpu", "xpu"), ("mps", "mps"), (KIND, "cpu"), (None, "cpu")]
)
def test_the_default_is_what_pytorch_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str | None, chosen: str
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: said is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: said and torch.device(said))
    monkeypatch.setattr(torch, "empty", lambda *_, device: None)
    assert devices.select(None) == torch.device(chosen)
    line = capsys.readouterr().err
    assert (f"the device is {chosen}" in line) is (chosen != "cpu")
    if chosen == "cpu":
        with pytest.raises(RuntimeError, match="sees no GPU"):
            devices.select("gpu:1")
    else:
        assert devices.select("gpu:1") == torch.device(chosen, 1)
    assert capsys.readouterr().err == ""


def test_directml_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_directml", None)
    with pytest.raises(ImportError, match="pip install torch-directml"):
        TorchEngine("privateuseone")


@pytest.mark.parametrize("build", [convnet, residual])
def test_nothing_of_a_step_leaves_the_device(build: Any) -> None:
    """Tensors of the meta device have no values, and refuse those of the CPU."""
    hb.utils.set_random_seed(1)
    model = build()
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = data(build, np.random.default_rng(0))
    with using("torch:meta"), pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        model.train_on_batch(x, y)  # reads the loss at last


def test_collectives_of_other_devices_travel_through_the_cpu(
    on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    on()
    seen: list[str] = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda y, *_, group: seen.append(y.device.type))
    group = ProcessGroup(None, (0, 1), 0)
    x = torch.ones(2, device=torch.device(KIND, 0))
    assert group.all_reduce(x, "sum").device.type == KIND
    assert seen == ["cpu"]


@pytest.mark.parametrize(
    ("kind", "built", "backends"),
    [("xpu", True, "cpu:gloo,xpu:xccl"), ("xpu", False, "gloo"), ("cuda", True, "cpu:gloo,cuda:nccl"),
     ("mps", True, "gloo"), ("cpu", True, "gloo")],
)  # fmt: skip
def test_a_job_uses_the_backend_of_its_device(
    monkeypatch: pytest.MonkeyPatch, kind: str, built: bool, backends: str
) -> None:
    started: list[str] = []
    devices.backend.cache_clear()
    for name in ("xccl", "nccl"):
        monkeypatch.setattr(torch.distributed, f"is_{name}_available", lambda: built, raising=False)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda name, **_: started.append(name))
    chosen: list[int] = []
    for name in ("xpu", "cuda"):
        monkeypatch.setattr(getattr(torch, name), "set_device", chosen.append)
    engine = TorchEngine("cpu")
    engine.device = torch.device(kind)
    engine.join(hb.engines.mesh.Job("localhost:1", 2, 1, 1))
    devices.backend.cache_clear()
    assert started == [backends]
    assert chosen == ([1] if kind in ("xpu", "cuda") else [])
