"""Prometheus metrics of the driver: the state of the run at each moment, at /metrics."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from jobs.errors import InputError, argument

STATES = ("running", "complete", "pruned", "failed", "diverged")
"""Metrics of a search that count trials by their state."""
GAUGES = {
    "loss": "The present value of the loss.",
    "gradient_norm": "The largest entry of the gradient.",
    "best": "The best value of a search so far.",
    "samples_per_second": "Rows that are trained on per second.",
    "evaluations_per_second": "Evaluations of the loss per second.",
    "steps_per_second": "Steps of training per second.",
    "workers": "Workers that take part.",
}


class RunMetrics:
    """The last status of a run, as metrics of Prometheus.

    Args:
        job, run: labels of all metrics.
        threads: compute threads of a worker, for core-seconds.
    """

    def __init__(self, job: str, run: str, threads: int) -> None:
        self._labels, self._threads = {"job": job, "run": run}, threads
        self._lock = threading.Lock()
        self._status: dict[str, Any] = {}
        self._core_seconds, self._at = 0.0, time.monotonic()
        self.attempt = 0

    def status(self, fields: Mapping[str, Any]) -> None:
        """Take over a status: metrics, progress."""
        with self._lock:
            now = time.monotonic()
            cores = int(self._metrics().get("workers", 0)) * self._threads
            self._core_seconds, self._at = self._core_seconds + cores * (now - self._at), now
            self._status |= fields

    def _metrics(self) -> Mapping[str, Any]:
        found = self._status.get("metrics", {})
        return found if isinstance(found, Mapping) else {}

    def collect(self) -> Iterator[Any]:
        """Yield the metrics; called by Prometheus's client at each scrape, in a thread of its server."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            metrics, progress = dict(self._metrics()), dict(self._status.get("progress", {}))
            seconds = self._core_seconds
        names, values = list(self._labels), list(self._labels.values())

        def gauge(name: str, text: str, value: Any) -> Any:
            family = GaugeMetricFamily(f"dask_jobs_{name}", text, labels=names)
            family.add_metric(values, float(value))
            return family

        yield gauge("attempt", "The number of the attempt.", self.attempt)
        for name, text in GAUGES.items():
            if isinstance(metrics.get(name), int | float):
                yield gauge(name, text, metrics[name])
        for name, text in (("done", "Steps that are done."), ("total", "Steps in all, or their limit.")):
            if name in progress:
                yield gauge(f"steps_{name}", text, progress[name])
        if any(state in metrics for state in STATES):
            family = GaugeMetricFamily("dask_jobs_trials", "Trials by state.", labels=[*names, "state"])
            for state in STATES:
                family.add_metric([*values, state], float(metrics.get(state, 0)))
            yield family
        counter = CounterMetricFamily("dask_jobs_core_seconds", "Workers' threads times seconds.", labels=names)
        counter.add_metric(values, seconds)
        yield counter


@contextlib.contextmanager
def served(metrics: RunMetrics, port: int, host: str) -> Iterator[None]:
    """Serve metrics at /metrics; a context manager.

    Raises:
        InputError: the port is taken.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        what = f"{argument('metrics_port')} is {port}"
        raise InputError(f"{what}, but cannot be listened on: {error.strerror}; take another") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
