"""Counters and histograms, in the format of Prometheus.

What every request counts are plain numbers, which its client library gets when they are asked for: its own
counters, with their locks, would take as long as reading a request.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Distribution:
    """Numbers of values in buckets, each of values above the bound before its own, up to that."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, model: str) -> None:
        names = [*map(str, self._bounds), "+Inf"]
        counts = zip(names, accumulate(self._counts), strict=True)
        family.add_metric([model], [(name, float(count)) for name, count in counts], self._sum)


class ModelMetrics:
    """The metrics of one model, by whose name they are labelled. They belong to the event loop."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self.model = model
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = _Distribution(_SECONDS)
        self.rows = _Distribution(_ROWS)
        self.run_seconds = _Distribution(_SECONDS)
        metrics.models.append(self)

    def request(self, protocol: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests[protocol, status] += 1
        self.seconds.observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Count a batch."""
        self.rows.observe(rows)
        self.run_seconds.observe(seconds)

    def load(self, result: str) -> None:
        """Count a file that was loaded, or refused; from any thread."""
        self._metrics.loads.labels(self.model, result).inc()

    def watch_queue(self, size: Callable[[], int]) -> None:
        """Read the number of waiting samples whenever metrics are asked for."""
        self._metrics.queue.labels(self.model).set_function(size)


class Metrics:
    """All metrics of a server."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.models: list[ModelMetrics] = []
        self.loads = PrometheusCounter(
            "hornbeam_loads", "Files loaded or refused", ["model", "result"], registry=registry
        )
        self.queue = Gauge(
            "hornbeam_queue_rows", "Samples that wait for a batch", ["model"], registry=registry
        )
        self.open_requests = Gauge("hornbeam_open_requests", "Requests in progress", registry=registry)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return what requests counted, as the client library asks of its collectors."""
        requests = CounterMetricFamily(
            "hornbeam_requests", "Predictions asked for", labels=["model", "protocol", "status"]
        )
        seconds = HistogramMetricFamily("hornbeam_request_seconds", "Seconds of a request", labels=["model"])
        rows = HistogramMetricFamily("hornbeam_batch_rows", "Samples of a batch", labels=["model"])
        run_seconds = HistogramMetricFamily(
            "hornbeam_run_seconds", "Seconds of a batch's run", labels=["model"]
        )
        for model in self.models:
            for (protocol, status), count in model.requests.items():
                requests.add_metric([model.model, protocol, str(status)], count)
            model.seconds.add_to(seconds, model.model)
            model.rows.add_to(rows, model.model)
            model.run_seconds.add_to(run_seconds, model.model)
        yield from (requests, seconds, rows, run_seconds)

    def text(self) -> bytes:
        """Return all metrics, as `/metrics` answers."""
        return generate_latest(self._registry)
