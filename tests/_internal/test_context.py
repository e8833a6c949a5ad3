"""State of running code: blocks restore it, and neither threads nor asyncio tasks see each other's."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import data, distribution, engines
from hornbeam._internal import context, limits, naming
from hornbeam.core import lazy, registry, scopes, variable
from hornbeam.data.pipeline.stages import is_peeking, peeking
from hornbeam.ir import scope as ir_scope
from hornbeam.ir import trace
from hornbeam.ir.partition import collectives
from hornbeam.layers import context as layer_context
from hornbeam.optimizers import updates

# A block that changes some state, and a function that returns that state.
Block = Callable[[], AbstractContextManager[Any]]
BLOCKS: dict[str, tuple[Block, Callable[[], Any]]] = {
    "allocation_budget": (lambda: variable.allocation_budget(8, 2), variable._allowed.get),
    "autocast": (lambda: variable.autocast("float16"), variable._autocast.get),
    "budget": (lambda: limits.budget(members=3), limits.current_budget),
    "call_context": (lambda: layer_context.call_context(object()), layer_context.current_context),
    "custom_object_scope": (lambda: registry.custom_object_scope({"a": int}), registry._scopes.get),
    "distribution": (lambda: variable.layout_rule_scope(lambda v: ("batch",)), variable._layout_rule.get),
    "layer_call_hook": (
        lambda: layer_context.layer_call_hook(lambda x, run: 1), layer_context.current_call_hook
    ),
    "mesh_scope": (lambda: engines._mesh.scope(object()), engines._mesh.get),  # type: ignore[arg-type]
    "name_scope": (lambda: scopes.name_scope("a"), naming.current_path),
    "new_level": (trace.new_level, trace.current_level),
    "peeking": (peeking, is_peeking.get),
    "process_group": (
        lambda: collectives.process_group(collectives.SingleRank()), collectives._process_group.get
    ),
    "record_gradients": (updates.record_gradients, updates._records.get),
    "remat": (scopes.RematScope, scopes.current_remat_scope),
    "retain_graph": (lazy.retain_graph, lazy.retains_graph),
    "scope": (lambda: ir_scope.scope("a"), ir_scope.current_scope),
    "shapes_only": (layer_context.shapes_only, layer_context.is_shapes_only),
    "stateless": (scopes.StatelessScope, scopes.StatelessScope.current),
    "using": (lambda: engines.using("reference"), engines._using.get),
    "variable_tracer": (lambda: variable.VariableTracer(1), variable.current_variable_tracer),
}  # fmt: skip
each_block = pytest.mark.parametrize(("block", "state"), BLOCKS.values(), ids=BLOCKS)


@each_block
def test_blocks_restore_the_outer_state_after_an_exception(block: Block, state: Callable[[], Any]) -> None:
    default = state()
    with block():
        outer = state()
        assert outer != default
        with pytest.raises(KeyError), block():
            raise KeyError
        assert state() is outer
    assert state() is default


@each_block
def test_a_thread_begins_with_the_defaults(block: Block, state: Callable[[], Any]) -> None:
    seen: list[Any] = []
    default = state()

    def work() -> None:
        seen.append(state())
        with block():
            started.set()
            ended.wait()

    started, ended = threading.Event(), threading.Event()
    with block():
        thread = threading.Thread(target=work)
        thread.start()
        inside = state()
        started.wait()
        assert state() is inside
    assert state() is default  # the block of the thread is still open
    ended.set()
    thread.join()
    assert seen == [default]


@each_block
def test_asyncio_tasks_inherit_the_state_and_keep_their_own(block: Block, state: Callable[[], Any]) -> None:
    default = state()
    seen: dict[str, Any] = {}

    async def task(entered: asyncio.Event, other: asyncio.Event, name: str) -> None:
        seen[f"inherited by {name}"] = state()
        with block():
            own = state()
            entered.set()
            await other.wait()
            await asyncio.sleep(0)
            assert state() is own
            seen[name] = own
        assert state() is seen[f"inherited by {name}"]

    async def main() -> None:
        with block():
            outer = state()
            events = asyncio.Event(), asyncio.Event()
            tasks = asyncio.gather(task(*events, "first"), task(*events[::-1], "second"))
            await events[0].wait()
            assert state() is outer
            await tasks
            assert seen["inherited by first"] is seen["inherited by second"] is outer

    asyncio.run(main())
    assert state() is default


def test_a_generator_may_be_closed_by_another_thread() -> None:
    def items() -> Any:
        with ir_scope.scope("items"):
            yield 1

    generator = items()
    next(generator)
    failures: list[BaseException] = []
    thread = threading.Thread(target=lambda: _recorded(generator.close, failures))
    thread.start()
    thread.join()
    context.reset_state()
    assert not failures


def _recorded(function: Callable[[], Any], failures: list[BaseException]) -> None:
    try:
        function()
    except BaseException as error:
        failures.append(error)


def test_threads_of_a_pipeline_begin_with_the_defaults() -> None:
    names: set[str] = set()
    default = engines.current_engine().name
    other = "reference" if default != "reference" else "native"

    def name(x: Any) -> Any:
        names.add(f"{threading.current_thread() is threading.main_thread()} {engines.current_engine().name}")
        return x

    rows = data.Dataset.from_tensor_slices(np.arange(8))
    with engines.using(other):
        list(rows.map(name, num_parallel_calls=2).as_numpy_iterator())
    assert f"False {default}" in names


# -- settings of threads -------------------------------------------------------------------------------------


@pytest.fixture
def setting() -> Any:
    setting: context.ThreadSetting[int] = context.ThreadSetting("setting of a test", 0)
    yield setting
    context._settings.remove(setting)
    del context._defaults[setting._block]


def test_a_setting_holds_in_its_thread_and_in_all_of_its_tasks(setting: context.ThreadSetting[int]) -> None:
    async def set_later() -> None:
        setting.set(3)

    asyncio.run(set_later())  # as a cell of a notebook, which runs in a context of its own
    assert setting.get() == 3
    seen: list[int] = []
    thread = threading.Thread(target=lambda: (seen.append(setting.get()), setting.set(4)))
    thread.start()
    thread.join()
    assert seen == [0]
    assert setting.get() == 3


def test_a_scope_of_a_setting_ends_what_is_set_inside(setting: context.ThreadSetting[int]) -> None:
    setting.set(1)
    with setting.scope(2):
        with setting.scope(3):
            setting.set(4)
            assert setting.get() == 4
        assert setting.get() == 2
    assert setting.get() == 1


def test_a_distribution_holds_in_its_block_and_task_alone() -> None:
    seen: list[Any] = []

    async def other(entered: asyncio.Event) -> None:
        await entered.wait()
        seen.append(distribution.distribution())

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(other(entered))
        with engines.using("jax"):
            mesh = distribution.DeviceMesh((1,), ["batch"], devices=engines.current_engine().devices()[:1])
            data_parallel = distribution.DataParallel(device_mesh=mesh)
            with data_parallel.scope():
                assert distribution.distribution() is data_parallel
                entered.set()
                await task

    pytest.importorskip("jax")
    asyncio.run(main())
    assert seen == [None]
    assert distribution.distribution() is None


# -- the one place of state ----------------------------------------------------------------------------------


def test_reset_returns_to_the_defaults(setting: context.ThreadSetting[int]) -> None:
    setting.set(1)
    ir_scope._scope.set("left over")
    assert context.open_overrides() == ["layer path of nodes"]
    context.reset_state()
    assert context.open_overrides() == []
    assert (setting.get(), ir_scope.current_scope()) == (0, "")


def test_all_state_is_declared_in_the_context_module() -> None:
    root = Path(hornbeam.__file__).parent
    elsewhere = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        if path.name != "context.py" or path.parent.name != "_internal"
        if re.search(r"threading\.local\(|\bContextVar\(", path.read_text())
    ]
    assert elsewhere == [], "declare it with context_variable or ThreadSetting of hornbeam._internal.context"


def test_names_of_state_are_unique() -> None:
    names = [state.name for state in context._defaults]
    assert len(names) == len(set(names))
