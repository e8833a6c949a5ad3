"""Meshes, layouts and jobs: what can be said without any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import distribution as dist
from hornbeam.engines.mesh import Job, Mesh, job_from_environment, trimmed

EIGHT = [f"cpu:{number}" for number in range(8)]


def box() -> dist.DeviceMesh:
    return dist.DeviceMesh((2, 4), ["batch", "model"], EIGHT)


# -- plain data ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [(), ("batch",), (None, "model"), ("model", "batch"), (None, "batch")])
def test_pieces_cover_a_value(layout: Any) -> None:
    mesh = Mesh((2, 4), ("batch", "model"), tuple(EIGHT), "batch")
    value = np.arange(8 * 12).reshape(8, 12)
    mesh.check(layout, value.shape, "it")
    times = np.zeros_like(value)
    for number in range(mesh.size):
        times[mesh.shard_slices(layout, value.shape, number)] += 1
    cut = np.prod([mesh.axis_size(axis) for axis in layout if axis])
    assert (times == 8 // cut).all()


def test_devices_are_numbered_row_by_row() -> None:
    mesh = Mesh((2, 4), ("batch", "model"), tuple(EIGHT))
    assert [mesh.coordinates(number) for number in (0, 3, 4)] == [
        {"batch": 0, "model": 0},
        {"batch": 0, "model": 3},
        {"batch": 1, "model": 0},
    ]


def test_a_batch_that_does_not_divide_is_whole_everywhere() -> None:
    mesh = Mesh((8,), ("batch",), tuple(EIGHT), "batch")
    assert mesh.batch_layout((16, 3)) == ("batch",)
    assert mesh.batch_layout((12, 3)) == mesh.batch_layout(()) == ()
    assert Mesh((8,), ("batch",), tuple(EIGHT)).batch_layout((16,)) == ()
    assert trimmed((None, "a", None, None)) == (None, "a")


@pytest.mark.parametrize(
    ("layout", "shape", "text"),
    [
        (("data",), (8,), "sharded along 'data'"),
        (("model", "model"), (8, 8), "one dimension only"),
        ((None, "model"), (8,), "has 1 dimensions"),
        (("model",), (6, 2), "dimension 0 has 6 elements, which 4 devices do not divide"),
    ],
)
def test_layouts_that_cannot_be(layout: Any, shape: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Mesh((2, 4), ("batch", "model"), tuple(EIGHT)).check(layout, shape, "the kernel")


TORCHRUN = {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "WORLD_SIZE": "4", "RANK": "3"}
KERAS = {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2", "KERAS_DISTRIBUTION_PROCESS_ID": "1"}
PLACE = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:12,10.0.0.2:13"}


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({}, None),
        (TORCHRUN, Job("10.0.0.1:29500", 4, 3)),
        ({**TORCHRUN, "LOCAL_RANK": "1"}, Job("10.0.0.1:29500", 4, 3, 1)),
        ({**KERAS, **PLACE}, Job("10.0.0.1:12", 2, 1)),
        ({**KERAS, **PLACE, **TORCHRUN}, Job("10.0.0.1:12", 2, 1)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, None),
        ({"WORLD_SIZE": "4"}, None),
    ],
)
def test_jobs_of_environments(environment: dict[str, str], job: Job | None) -> None:
    assert job_from_environment(environment) == job


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "not their coordinator"),
        (KERAS, "JOB_ADDRESSES"),
        ({**TORCHRUN, "RANK": "4"}, "numbers this process 4 of 4"),
        ({**TORCHRUN, "RANK": "x"}, "RANK must be an integer, got 'x'"),
    ],
)
def test_environments_that_cannot_be(environment: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        job_from_environment(environment)


# -- Keras's names -------------------------------------------------------------------------------------------


def test_a_layout_map_is_read_by_regular_expressions() -> None:
    layouts = dist.LayoutMap(box())
    layouts[".*dense.*kernel"] = (None, "model")
    layouts[".*dense.*bias"] = dist.TensorLayout(("model",))
    layouts["a/dense/kernel"] = ("model", None)
    assert layouts["b/dense_1/kernel"].axes == (None, "model")
    assert layouts["b/dense_1/kernel"].device_mesh is layouts.device_mesh
    assert layouts["a/dense/kernel"].axes == ("model", None)  # the key itself wins
    assert layouts["dense/kernel/momentum"] is None  # a whole path has to match
    assert list(layouts) == [".*dense.*kernel", ".*dense.*bias", "a/dense/kernel"]
    del layouts["a/dense/kernel"]
    assert len(layouts) == 2
    layouts[".*kernel"] = (None, None)
    with pytest.raises(ValueError, match="several keys"):
        _ = layouts["dense/kernel"]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: dist.DeviceMesh((), []), ValueError, "at least one axis"),
        (lambda: dist.DeviceMesh((2,), ["a", "b"], EIGHT[:2]), ValueError, "one name for each axis"),
        (lambda: dist.DeviceMesh((2, 4), ["a", "a"], EIGHT), ValueError, "different names"),
        (lambda: dist.DeviceMesh((3,), ["a"], EIGHT), ValueError, "needs 3 devices, but got 8"),
        (lambda: dist.TensorLayout(("data",), box()), ValueError, "names the axis 'data'"),
        (lambda: dist.TensorLayout(("batch", "batch")), ValueError, "one dimension only"),
        (lambda: dist.LayoutMap(box()).__setitem__("(", ("batch",)), ValueError, "not a regular expression"),
        (lambda: dist.LayoutMap(box()).__setitem__("a", "batch"), ValueError, "TensorLayout or a tuple"),
        (lambda: dist.ModelParallel(), ValueError, "LayoutMap"),
        (lambda: dist.ModelParallel(layout_map=dist.LayoutMap(box()), batch_dim_name="x"), ValueError, "'x'"),
        (lambda: dist.ModelParallel(layout_map=dist.LayoutMap(box()), mesh=1), TypeError, "mesh"),
        (lambda: dist.DataParallel(device_mesh=3), ValueError, "must be a DeviceMesh"),
        (lambda: dist.list_devices("npu"), ValueError, "'cpu', \"gpu\"|npu"),
        (lambda: dist.list_devices("gpu"), RuntimeError, "runs on the CPU"),
        (lambda: dist.set_distribution("data"), ValueError, "takes a DataParallel"),
        (lambda: dist.set_distribution(dist.DataParallel()), NotImplementedError, "jax or the torch"),
        (lambda: dist.initialize("10.0.0.1:1234", 2, 0), NotImplementedError, "jax or the torch"),
        (lambda: dist.initialize("10.0.0.1:1234", 2), ValueError, "process_id"),
        (lambda: dist.initialize("10.0.0.1", 2, 0), ValueError, "host:port"),
        (lambda: dist.initialize("a:1,b:2", 3, 0), ValueError, "has 2 processes"),
        (lambda: dist.initialize("a:1", 2, 2), ValueError, "counts from 0"),
        (lambda: dist.distribute_tensor(1.0, dist.TensorLayout(())), ValueError, "device_mesh"),
    ],
)
def test_mistakes(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
    assert dist.distribution() is None


def test_a_layout_takes_its_mesh_once() -> None:
    layout = dist.TensorLayout(("model",))
    layout.device_mesh = box()
    with pytest.raises(ValueError, match="already"):
        layout.device_mesh = box()


def test_a_mesh_of_two_axes_is_too_large_for_data() -> None:
    with pytest.warns(UserWarning, match="first axis"):
        parallel = dist.DataParallel(box())
    assert parallel.batch_dim_name == "batch"
    assert parallel.get_data_layout((8, 3)).axes == ("batch", None)


def test_layouts_of_variables() -> None:
    layouts = dist.LayoutMap(box())
    layouts[".*kernel"] = (None, "model")
    parallel = dist.ModelParallel(layout_map=layouts)
    weight = hornbeam.Variable(np.zeros((2, 4)), name="kernel")
    slot = hornbeam.Variable(np.zeros((2, 4)), name="momentum", layout=weight)
    row = hornbeam.Variable(np.zeros(4), name="row", layout=weight)
    own = hornbeam.Variable(np.zeros(4), name="kernel", layout=dist.TensorLayout(("batch",), box()))
    results = [parallel.get_variable_layout(v).axes for v in (weight, slot, row, own)]
    assert results == [(None, "model"), (None, "model"), (None,), ("batch",)]
    assert parallel.num_model_replicas == 2
    assert dist.DataParallel(devices=EIGHT).get_variable_layout(weight).axes == (None, None)
    assert dist.DataParallel(devices=EIGHT).num_model_replicas == 8


def test_one_process_is_first_and_does_not_wait() -> None:
    dist.initialize()
    assert dist.list_devices() == dist.list_devices("CPU") == ["cpu:0"]
    assert dist.get_device_count() == 1
    parallel = dist.DataParallel()
    assert (parallel.num_processes, parallel.data_shard_id) == (1, 0)
    assert parallel.distribute_dataset("data") == "data"
