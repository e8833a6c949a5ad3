"""Counters and histograms, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class ModelMetrics:
    """The metrics of one model, by whose name they are labelled."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self._requests: dict[tuple[str, int], Counter] = {}
        self._seconds = metrics.seconds.labels(model)
        self._rows = metrics.rows.labels(model)
        self._run_seconds = metrics.run_seconds.labels(model)

    def request(self, protocol: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = protocol, status
        counter = self._requests.get(key)
        if counter is None:
            counter = self._requests[key] = self._metrics.requests.labels(self._model, protocol, str(status))
        counter.inc()
        self._seconds.observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Count a batch."""
        self._rows.observe(rows)
        self._run_seconds.observe(seconds)

    def load(self, result: str) -> None:
        """Count a file that was loaded, or refused."""
        self._metrics.loads.labels(self._model, result).inc()

    def watch_queue(self, size: Callable[[], int]) -> None:
        """Read the number of waiting samples whenever metrics are asked for."""
        self._metrics.queue.labels(self._model).set_function(size)


class Metrics:
    """All metrics of a server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "hornbeam_requests", "Predictions asked for", ["model", "protocol", "status"], registry=registry
        )
        self.loads = Counter(
            "hornbeam_loads", "Files loaded or refused", ["model", "result"], registry=registry
        )
        self.queue = Gauge(
            "hornbeam_queue_rows", "Samples that wait for a batch", ["model"], registry=registry
        )
        self.open_requests = Gauge("hornbeam_open_requests", "Requests in progress", registry=registry)
        self.seconds = _histogram("hornbeam_request_seconds", "Seconds of a request", _SECONDS, registry)
        self.rows = _histogram("hornbeam_batch_rows", "Samples of a batch", _ROWS, registry)
        self.run_seconds = _histogram("hornbeam_run_seconds", "Seconds of a batch's run", _SECONDS, registry)

    def text(self) -> bytes:
        """Return all metrics, as `/metrics` answers."""
        return generate_latest(self._registry)


def _histogram(
    name: str, description: str, buckets: Iterable[float], registry: CollectorRegistry
) -> Histogram:
    return Histogram(name, description, ["model"], buckets=tuple(buckets), registry=registry)
