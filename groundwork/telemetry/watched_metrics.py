"""Metrics whose figures are kept elsewhere and asked for when somebody looks."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class WatchedCounter(Collector):
    """A counter with one label; `watch` says where the figure of a value of it comes from."""

    def __init__(self, name: str, text: str, label: str, *, registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._counts: dict[str, Callable[[], float]] = {}
        registry.register(self)

    def watch(self, value: str, count: Callable[[], float]) -> None:
        self._counts[value] = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in self._counts.items():
            family.add_metric([value], count())
        yield family
