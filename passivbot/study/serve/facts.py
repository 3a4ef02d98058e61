"""What the page tells of one candidate: metrics, limits and their margins, ranks, and why to trust it."""

from pathlib import Path
from typing import Any

import numpy as np

from passivbot.backtest.candles import DEMO
from passivbot.engine import __version__ as engine_version
from passivbot.study.page_data import plain, promote_command
from passivbot.study.select import ranking
from passivbot.study.study import Results, Study
from passivbot.study.unseen_table import briefly


def facts(study: Study, members: Results, one: Results) -> dict[str, Any]:
    """Return all about one candidate, JSON-able.

    Parameters
    ----------
    study
        Where it is from.
    members
        Those of the front that are shown; ranks are among them.
    one
        The candidate alone.
    """
    number = int(one.numbers[0])
    place = np.flatnonzero(members.numbers == number)
    space = study.definition.space
    vector = dict(zip(one.parameter_names, plain(one.rows.parameters[0]), strict=True))
    return {
        "candidate": number,
        "status": str(one.rows.status[0]),
        "stopped": one.rows.stopped[0],
        "member": bool(len(place) and members.feasible.all()),
        "members": len(members),
        "metrics": dict(zip(one.metric_names, plain(one.rows.metrics[0]), strict=True)),
        "parameters": {name: vector[name] for name in space.free},
        "fixed": {name: value for name, value in vector.items() if name not in set(space.free)},
        "violation": plain(one.total)[0],
        "limits": _limits(one),
        "ranks": {name: ranks[int(place[0])] for name, ranks in ranking(members).items()}
        if len(place)
        else {},
        "worker": one.rows.worker[0],
        "seconds": float(one.rows.seconds[0]),
        "logged": float(one.rows.logged[0]),
        "engine": {"study": study.definition.engine, "here": engine_version},
        "candles": candles(study),
        "unseen": briefly(study, one).get(str(number)),
        "promote": promote_command(study).replace("CANDIDATE", str(number)),
        "file": f"front/{number:07d}.json",
    }


def candles(study: Study) -> dict[str, Any]:
    """Return on which candles a study ran, and whether they seem to be at hand."""
    scenario = study.definition.scenario
    place = str(scenario.get("candles", ""))
    window = scenario.get("window", {})
    return {
        "place": "the embedded demo candles, synthetic" if place == DEMO else place,
        "here": place == DEMO or Path(place).is_dir(),
        "digest": str(scenario.get("candles_digest", ""))[:12],
        "coins": list(scenario.get("coins", ())),
        "first_ms": window.get("first_ms"),
        "last_ms": window.get("last_ms"),
        "minutes": window.get("minutes"),
        "interval_minutes": study.definition.interval_minutes,
    }


def _limits(one: Results) -> list[dict[str, Any]]:
    """Return each limit with the candidate's value and margin: the distance left, as a share of the limit."""
    found = []
    for index, limit in enumerate(one.scoring.limits):
        value = plain(one.metric(limit.metric))[0]
        room = (
            None if value is None else limit.value - value if limit.kind == "greater" else value - limit.value
        )
        found.append(
            {
                "key": limit.key,
                "metric": limit.metric,
                "kind": limit.kind,
                "limit": limit.value,
                "value": value,
                "kept": bool(one.violations[0, index] == 0),
                "margin": None if room is None or limit.value == 0 else room / abs(limit.value),
            }
        )
    return found
