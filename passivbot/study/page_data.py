"""What the page shows of a study, JSON-able; null where a value is not finite.

One form for the file ``front.html``, for the server of the page and for the cluster's key-value store:
:func:`outline` does not change while a study runs, :func:`front_part` and :func:`others_part` do.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.study.front import Front
from passivbot.study.select import METHODS, ranking
from passivbot.study.study import Results, Study
from passivbot.study.terminal import headline, number

OTHERS = 2000  # candidates off the front that are drawn, evenly chosen


def outline(study: Study) -> dict[str, Any]:
    """Return what a study is: objectives, limits, names, bounds, and facts as text."""
    definition = study.definition
    scenario, space = definition.scenario, definition.space
    objectives = [objective.metric for objective in study.scoring.objectives]
    free = set(space.free)
    window = scenario.get("window", {})
    return {
        "name": study.name,
        "folder": str(study.folder.absolute()),
        "facts": {
            "search": definition.search,
            "seed": str(definition.seed),
            "population": f"{definition.population:,}",
            "coins": ", ".join(scenario.get("coins", ())),
            "minutes of candles": f"{int(window.get('minutes', 0)):,}",
            "minutes a bar": str(definition.interval_minutes),
            "free parameters": f"{len(space.free)} of {len(space.names)}",
            "created": definition.created[:16].replace("T", " "),
            "engine": definition.engine,
        },
        "objectives": objectives,
        "directions": {o.metric: o.weight for o in study.scoring.objectives},
        "limits": [asdict(limit) for limit in study.scoring.limits],
        "metrics": [*objectives, *(m for m in definition.metrics if m not in objectives)],
        "parameters": list(space.free),
        "bounds": {
            name: [low, high]
            for name, low, high in zip(space.names, space.low, space.high, strict=True)
            if name in free
        },
        "methods": {name: (METHODS[name].__doc__ or "").strip().partition("\n")[0] for name in METHODS},
        "promote": promote_command(study),
    }


def promote_command(study: Study) -> str:
    """Return the command that promotes a candidate, with ``CANDIDATE`` where its number belongs."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", study.name).strip("-.") or "study"
    folder, home = study.folder.absolute(), Path.home()
    inside = folder.is_relative_to(home) and folder != home
    place = f"~/{shlex.quote(str(folder.relative_to(home)))}" if inside else shlex.quote(str(folder))
    return f"passivbot promote {place} --candidate CANDIDATE --to {name}-CANDIDATE"


def page_data(study: Study, front: Front, members: Results, marks: Mapping[int, str]) -> dict[str, Any]:
    """Return all that the page shows of a study without asking anybody, from a sample of the log.

    Parameters
    ----------
    study, front, members, marks
        As :func:`passivbot.study.terminal.render_front` takes them.
    """
    from passivbot.study.serve.importance import importance
    from passivbot.study.serve.pulse import Pulse
    from passivbot.study.unseen_table import briefly

    last = study.log.last()
    stride = max(1, -(-(last + 1) // OTHERS))
    sample = study.results(study.log.sample(OTHERS))
    pulse = Pulse(study.log.events(), stride)
    pulse.add(sample.rows)
    return {
        **outline(study),
        "front": front_part(study, front, members, marks),
        "others": others_part(sample, members.numbers, study.definition.space.free, stride),
        "series": pulse.series(),
        "importance": importance(sample, study.definition.space.free),
        "unseen": briefly(study, members),
        "told": last + 1,
    }


def front_part(
    study: Study,
    front: Front,
    members: Results,
    marks: Mapping[int, str],
    known: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return a front's members with metrics, parameters, ranks and marks, and how the front came to be.

    Of ``known`` candidates metrics, parameters and violations are left out; ``sent`` names those that have
    them.
    """
    definition = study.definition
    fresh = members if known is None else members.take(~np.isin(members.numbers, known))
    told, volume = front.history
    return {
        "headline": headline(front, members),
        "feasible": front.feasible,
        "size": len(front),
        "feasible_count": front.feasible_count,
        "hypervolume": front.hypervolume,
        "hypervolume_text": "–" if front.hypervolume is None else number(front.hypervolume),
        "candidate": members.numbers.tolist(),
        "sent": fresh.numbers.tolist(),
        "metrics": {name: plain(fresh.metric(name)) for name in definition.metrics},
        "parameters": _parameters(fresh, definition.space.free),
        "violation": plain(fresh.total),
        "ranks": ranking(members),
        "marks": {str(candidate): mark for candidate, mark in marks.items()},
        "chosen": next(iter(marks), -1),
        "history": {"candidates": told.tolist(), "hypervolume": plain(volume)},
    }


def others_part(
    results: Results, members: NDArray[np.int64], free: tuple[str, ...], stride: int, first: int = 0
) -> dict[str, Any]:
    """Return scored candidates off the front: every ``stride``-th, from candidate ``first`` on."""
    shown = results.take(~np.isin(results.numbers, members) & np.isfinite(results.objectives).all(axis=1))
    return {
        "stride": stride,
        "first": first,
        "candidate": shown.numbers.tolist(),
        "metrics": {name: plain(shown.metric(name)) for name in shown.metric_names},
        "parameters": _parameters(shown, free),
        "feasible": shown.feasible.astype(int).tolist(),
    }


def _parameters(results: Results, free: tuple[str, ...]) -> dict[str, list[float | None]]:
    return {name: plain(results.rows.parameters[:, results.parameter_names.index(name)]) for name in free}


def plain(values: NDArray[np.float64]) -> list[float | None]:
    """Return numbers (n,) as a list, None for what JSON does not have."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
