"""The metrics as Prometheus reads them. Loaded only where metrics are asked for."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gmhealth import __version__
from gmhealth.core.health_state import Health
from gmhealth.observability import metrics
from gmhealth.observability.lag_watch import LagWatch
from gmhealth.observability.metrics import Buckets, Figures


def registry(figures: Figures, lag: LagWatch) -> CollectorRegistry:
    """All there is to scrape, this process's own memory, time and files included."""
    found = CollectorRegistry()
    found.register(_Worker(figures))
    found.register(_Stream(lag))
    ProcessCollector(registry=found)
    return found


class _Worker(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        for metric, numbers in self._figures.numbers.items():
            yield _family(metric, numbers)
        for metric, series in self._figures.buckets.items():
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, buckets in series.items():
                histogram.add_metric(labels, *_cumulative(buckets))
            yield histogram


class _Stream(Collector):
    def __init__(self, lag: LagWatch) -> None:
        self._lag = lag

    def describe(self) -> Iterable[Metric]:
        """Nothing: without this, registering would ask Redis."""
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _family(metrics.BUILD, {(__version__, platform.python_version()): 1})
        unread, health = self._lag.now()
        yield _family(metrics.STREAM_UP, {(): float(unread is not None)})
        if unread is not None:
            yield _family(metrics.LAG_ENTRIES, {(): unread.entries})
            yield _family(metrics.LAG_SECONDS, {(): unread.oldest_s})
            yield _family(metrics.STATE, {(each,): float(each is health) for each in Health})


def _family(metric: metrics.Metric, numbers: dict[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in numbers.items():
        family.add_metric(labels, value)
    return family


def _cumulative(buckets: Buckets) -> tuple[list[tuple[str, float]], float]:
    bounds = [*map(str, buckets.bounds), "+Inf"]
    return list(zip(bounds, accumulate(buckets.counts), strict=True)), buckets.sum
