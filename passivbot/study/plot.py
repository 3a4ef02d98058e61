"""The page of a front: one HTML file that needs no network; plotly.js stands in it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.study.export import write_text
from passivbot.study.front import Front
from passivbot.study.study import Results, Study
from passivbot.study.terminal import headline, number

PAGE = "front.html"
OTHERS = 4000  # candidates off the front that are drawn, evenly chosen


def write_page(
    study: Study,
    front: Front,
    members: Results,
    path: Path | None = None,
    *,
    marks: Mapping[int, str] | None = None,
) -> Path:
    """Write the page of a front, by default ``front.html`` in the study's folder, and return where it lies.

    ``front``, ``members`` and ``marks`` as in :func:`passivbot.study.terminal.render_front`.

    Raises
    ------
    StudyError
        The file can't be written.
    ResourceError
        The disk is full.
    """
    path = study.folder / PAGE if path is None else path
    write_text(path, page(page_data(study, front, members, marks or {})))
    return path


def page(data: Mapping[str, Any]) -> str:
    """Return the HTML text of a page with these data."""
    from plotly.offline import get_plotlyjs

    asset = files("passivbot.study") / "page"
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Template((asset / "front.html").read_text("utf-8")).substitute(
        title="front",
        style=(asset / "front.css").read_text("utf-8"),
        # "<" as an escape: nothing in a name can end the script element.
        data=text.replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
        script=(asset / "front.js").read_text("utf-8"),
    )


def page_data(study: Study, front: Front, members: Results, marks: Mapping[int, str]) -> dict[str, Any]:
    """Return what the page shows, JSON-able; null where a value is not finite."""
    definition = study.definition
    objectives = [objective.metric for objective in study.scoring.objectives]
    free = definition.space.free
    told, volume = front.history
    others = study.results(study.log.sample(OTHERS))
    others = others.take(
        ~np.isin(others.numbers, members.numbers) & np.isfinite(others.objectives).all(axis=1)
    )
    scenario = definition.scenario
    return {
        "name": study.name,
        "headline": headline(front, members),
        "facts": {
            "search": definition.search,
            "seed": str(definition.seed),
            "population": str(definition.population),
            "coins": ", ".join(scenario.get("coins", ())),
            "minutes a bar": str(definition.interval_minutes),
            "free parameters": str(len(free)),
            "created": definition.created,
            "engine": definition.engine,
            "hypervolume": "–" if front.hypervolume is None else number(front.hypervolume),
        },
        "objectives": objectives,
        "directions": {o.metric: o.weight for o in study.scoring.objectives},
        "limits": [asdict(limit) for limit in study.scoring.limits],
        "metrics": [*objectives, *(m for m in definition.metrics if m not in objectives)],
        "parameters": list(free),
        "feasible": front.feasible,
        "front": {
            "candidate": members.numbers.tolist(),
            "metrics": {name: _plain(members.metric(name)) for name in definition.metrics},
            "parameters": {
                name: _plain(members.rows.parameters[:, definition.space.names.index(name)]) for name in free
            },
            "violation": _plain(members.total),
        },
        "others": {
            "candidate": others.numbers.tolist(),
            "metrics": {name: _plain(others.metric(name)) for name in definition.metrics},
            "feasible": others.feasible.astype(int).tolist(),
        },
        "history": {"candidates": told.tolist(), "hypervolume": _plain(volume)},
        "marks": {str(candidate): mark for candidate, mark in marks.items()},
        "chosen": next(iter(marks), -1),
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
