"""Requests are merged, padded, cut and refused as the limits say, and get their own results."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from hornbeam.serving.batcher import Batcher, BatchLimits
from hornbeam.serving.errors import RequestError
from tests.helpers.served_models import NumpyModel, Pair, Spec, scaled


def run(model: NumpyModel, use: Callable[[Batcher], Awaitable[Any]], **limits: Any) -> Any:
    async def started() -> Any:
        with ThreadPoolExecutor(2) as executor:
            return await use(Batcher(model, BatchLimits(**limits), executor))

    return asyncio.run(started())


def rows(count: int, start: float = 0.0) -> dict[str, np.ndarray]:
    return {"x": np.arange(count * 3, dtype="float32").reshape(count, 3) + np.float32(start)}


async def all_of(batcher: Batcher, requests: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    return await asyncio.gather(*(batcher.submit("predict", request) for request in requests))


def test_requests_that_arrive_together_are_one_batch_and_each_gets_its_rows() -> None:
    model = scaled()
    requests = [rows(1, 10), rows(2, 20), rows(3, 30)]
    answers = run(model, lambda batcher: all_of(batcher, requests))
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["y"], 2 * request["x"])
    assert model.batches == [8], "6 rows are padded to 8"


def test_a_batch_has_at_most_the_rows_of_the_limit() -> None:
    model = scaled()
    run(model, lambda batcher: all_of(batcher, [rows(3) for _ in range(4)]), max_batch=6)
    assert model.batches == [6, 6]


def test_a_request_larger_than_a_batch_is_computed_in_parts() -> None:
    model, request = scaled(), rows(10)
    (answer,) = run(model, lambda batcher: all_of(batcher, [request]), max_batch=4)
    np.testing.assert_array_equal(answer["y"], 2 * request["x"])
    assert model.batches == [4, 4, 2]


def test_requests_during_a_run_are_the_next_batch() -> None:
    model = scaled(delay=0.05)

    async def use(batcher: Batcher) -> None:
        first = batcher.submit("predict", rows(1))
        await asyncio.sleep(0.01)
        await asyncio.gather(first, *(batcher.submit("predict", rows(1)) for _ in range(4)))

    run(model, use)
    assert model.batches == [1, 4]


def test_as_many_batches_run_at_once_as_allowed() -> None:
    model, both = scaled(), threading.Barrier(2, timeout=5)

    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        both.wait()  # raises an error unless two threads are here at once
        return {"y": x}

    model.function = function
    answers = run(model, lambda batcher: all_of(batcher, [rows(4), rows(4)]), max_batch=4, parallel=2)
    assert len(answers) == 2


def test_a_batch_waits_for_others_until_the_deadline_but_no_longer_than_it_is_full() -> None:
    model = scaled()

    async def use(batcher: Batcher) -> float:
        loop = asyncio.get_running_loop()
        first = batcher.submit("predict", rows(1))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, batcher.submit("predict", rows(1)))
        start = loop.time()
        await all_of(batcher, [rows(1) for _ in range(4)])
        return loop.time() - start

    full = run(model, use, max_batch=4, max_wait=0.3)
    assert model.batches == [2, 4]
    assert full < 0.3


def test_different_shapes_are_different_batches() -> None:
    signature = Pair((Spec("x", "float32", (None, None)),), (Spec("y", "float32", (None, None)),))
    model = NumpyModel(signature, lambda x: {"y": -x})
    requests = [{"x": np.ones((1, size), "float32")} for size in (2, 2, 5)]
    answers = run(model, lambda batcher: all_of(batcher, requests))
    assert [answer["y"].shape for answer in answers] == [(1, 2), (1, 2), (1, 5)]
    assert model.batches == [2, 1]


def test_a_model_without_a_batch_axis_computes_one_request_at_a_time() -> None:
    signature = Pair((Spec("x", "float32", (3,)),), (Spec("y", "float32", ()),))
    model = NumpyModel(signature, lambda x: {"y": x.sum()})
    requests = [{"x": np.full(3, value, "float32")} for value in (1, 2)]
    answers = run(model, lambda batcher: all_of(batcher, requests))
    assert [float(answer["y"]) for answer in answers] == [3, 6]


def test_an_error_reaches_the_request_that_causes_it_alone() -> None:
    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        if (x < 0).any():
            raise ValueError("negative")
        return {"y": x}

    model = scaled()
    model.function = function

    async def use(batcher: Batcher) -> list[Any]:
        requests = [rows(1, 1), rows(1, -100), rows(2, 5)]
        answers = [batcher.submit("predict", request) for request in requests]
        return await asyncio.gather(*answers, return_exceptions=True)

    first, second, third = run(model, use)
    assert isinstance(second, ValueError)
    np.testing.assert_array_equal(first["y"], rows(1, 1)["x"])
    np.testing.assert_array_equal(third["y"], rows(2, 5)["x"])


def test_a_full_queue_refuses_with_the_time_to_wait() -> None:
    model = scaled(delay=0.02)

    async def use(batcher: Batcher) -> RequestError:
        running = batcher.submit("predict", rows(1))
        await asyncio.sleep(0.005)
        waiting = [batcher.submit("predict", rows(2)) for _ in range(2)]
        with pytest.raises(RequestError) as refused:
            batcher.submit("predict", rows(1))
        await asyncio.gather(running, *waiting)
        return refused.value

    error = run(model, use, max_queue=4)
    assert error.status == 429
    assert int(error.headers["Retry-After"]) >= 1


def test_a_request_that_was_given_up_is_not_computed() -> None:
    model = scaled(delay=0.02)

    async def use(batcher: Batcher) -> int:
        running = batcher.submit("predict", rows(1))
        await asyncio.sleep(0.005)
        given_up, waiting = batcher.submit("predict", rows(2)), batcher.submit("predict", rows(1))
        given_up.cancel()
        await asyncio.gather(running, waiting)
        return batcher.queued_rows

    assert run(model, use) == 0
    assert model.batches == [1, 1]


def test_brief_runs_are_made_by_the_event_loop() -> None:
    """From the second batch of a size on, when its time is known."""
    model, threads = scaled(), []

    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        threads.append(threading.current_thread() is threading.main_thread())
        return {"y": x}

    model.function = function

    async def use(batcher: Batcher) -> None:
        for _ in range(20):
            await batcher.submit("predict", rows(1))

    run(model, use)
    assert threads[0] is False
    assert threads[-1] is True


def test_runs_that_take_longer_without_threads_return_to_them() -> None:
    model, in_main_thread = scaled(), []

    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        in_main_thread.append(threading.current_thread() is threading.main_thread())
        if in_main_thread[-1]:
            time.sleep(0.002)
        return {"y": x}

    model.function = function

    async def use(batcher: Batcher) -> None:
        for _ in range(20):
            await batcher.submit("predict", rows(1))

    run(model, use)
    assert sum(in_main_thread) == 3, "the trials"
    assert not any(in_main_thread[-10:])
