"""The equity curve of one candidate, by running it again: what the log does not hold."""

import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from passivbot.backtest.scenario import Scenario
from passivbot.errors import CandleError, ResourceError
from passivbot.study.export import evaluated_config
from passivbot.study.page_data import plain
from passivbot.study.replay import Logged
from passivbot.study.serve.facts import candles
from passivbot.study.study import Results, Study
from passivbot.times import MINUTE_MS

POINTS = 600  # pairs of points of a curve
_REMEMBERED = 64  # curves
_ROOM = 1.5  # times the candles' size that has to be free: they are joined while they are read


class Replays:
    """Runs candidates again in this process, one at a time, and remembers what came out.

    The candles of the study asked for last stay in memory.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scenario: tuple[object, Scenario] | None = None
        self._known: OrderedDict[object, dict[str, Any]] = OrderedDict()

    def known(self, study: Study, candidate: int) -> dict[str, Any] | None:
        """Return what :meth:`run` found, None if it was not asked."""
        return self._known.get(_key(study, candidate))

    def run(self, study: Study, one: Results) -> dict[str, Any]:
        """Run one candidate as the study did; compare its metrics with the log, to the bit.

        Returns
        -------
        ``time_ms`` (UTC), ``equity`` and ``balance`` (USD), thinned so that extremes stay; ``fills``, number;
        ``metrics``, number of metrics compared, and ``deviations``, a line for each that differs.

        Raises
        ------
        CandleError
            The candles are not at hand, or are others.
        ResourceError
            They do not fit into memory.
        """
        key = _key(study, int(one.numbers[0]))
        with self._lock:
            if key not in self._known:
                self._known[key] = self._run(study, one)
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
            return self._known[key]

    def _run(self, study: Study, one: Results) -> dict[str, Any]:
        from passivbot.backtest.plots import extremes

        started = time.monotonic()
        scenario = self._prepared(study)
        logged = Logged(
            candidate=int(one.numbers[0]),
            config=evaluated_config(study, one.rows.parameters[0]),
            parameters=one.rows.parameters[0],
            metrics=dict(zip(one.metric_names, plain(one.rows.metrics[0]), strict=True)),
            limits=study.stop_limits,
            stopped=one.rows.stopped[0],
        )
        result = logged.run(scenario)
        usd = result.equity.column("usd").to_numpy()
        minute = result.equity.column("minute").to_numpy()
        kept = extremes(usd, POINTS) if usd.size else np.empty(0, np.int64)
        fills = result.fills
        before = np.searchsorted(fills.column("minute").to_numpy(), minute[kept], "right")
        balance = np.append(scenario.starting_balance, fills.column("balance").to_numpy())[before]
        return {
            "time_ms": (scenario.panel.first_ms + minute[kept] * MINUTE_MS).tolist(),
            "equity": plain(usd[kept]),
            "balance": plain(balance),
            "fills": fills.num_rows,
            "metrics": len(logged.metrics),
            "deviations": [str(deviation) for deviation in logged.deviations(result)],
            "seconds": round(time.monotonic() - started, 3),
        }

    def _prepared(self, study: Study) -> Scenario:
        facts = study.definition.scenario
        key = (facts.get("candles"), facts.get("digest"))
        if self._scenario and self._scenario[0] == key:
            return self._scenario[1]
        self._scenario = None
        about = candles(study)
        if not about["here"]:
            raise CandleError(f"{about['place']}: the study's candles are not on the machine of this page")
        bars = int(about["minutes"] or 0) // max(1, about["interval_minutes"])
        need, free = int(bars * len(about["coins"]) * 32 * _ROOM), psutil.virtual_memory().available
        if need > free:
            raise ResourceError(
                f"the candles need {need / 1e9:.1f} GB; the machine of this page has {free / 1e9:.1f} GB free"
            )
        scenario = Scenario.replay(study.config, facts)
        self._scenario = (key, scenario)
        return scenario


def _key(study: Study, candidate: int) -> object:
    return (str(study.folder), study.definition.created, study.definition.seed, candidate)
