"""A running study in Prometheus: gauges and counters that Ray exports for us, tagged by study."""

import importlib
from typing import Any

from cluster.display import Progress

GAUGES = {
    "passivbot_front_size": "Candidates on the exact front.",
    "passivbot_hypervolume": "Hypervolume of the front, against the study's own reference point.",
    "passivbot_queue": "Candidates handed to workers that have not come back.",
    "passivbot_workers": "Workers that are ready.",
}
COUNTERS = {
    "passivbot_evaluations_total": "Candidates logged by this run.",
    "passivbot_failures_total": "Candidates of this run that failed.",
    "passivbot_engine_seconds_total": "Seconds that workers spent in the engine in this run.",
}


class Metrics:
    """The metrics of one study; of the process that drives it.

    Parameters
    ----------
    study
        Value of the tag ``study``.
    """

    def __init__(self, study: str) -> None:
        metrics = importlib.import_module("ray.util.metrics")
        self._tags = {"study": study}
        self._gauges = {name: metrics.Gauge(name, text, ("study",)) for name, text in GAUGES.items()}
        self._counters = {name: metrics.Counter(name, text, ("study",)) for name, text in COUNTERS.items()}
        self._counted: dict[str, float] = dict.fromkeys(COUNTERS, 0.0)

    def show(self, progress: Progress) -> None:
        """Set all of them."""
        gauges: dict[str, float | None] = {
            "passivbot_front_size": progress.front,
            "passivbot_hypervolume": progress.hypervolume,
            "passivbot_queue": progress.in_flight,
            "passivbot_workers": progress.workers_ready,
        }
        for name, value in gauges.items():
            if value is not None:
                self._gauges[name].set(float(value), self._tags)
        counts: dict[str, Any] = {
            "passivbot_evaluations_total": progress.evaluated,
            "passivbot_failures_total": progress.failed,
            "passivbot_engine_seconds_total": progress.engine_seconds,
        }
        for name, count in counts.items():
            if count > self._counted[name]:
                self._counters[name].inc(count - self._counted[name], self._tags)
                self._counted[name] = count
