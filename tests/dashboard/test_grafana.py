"""The Grafana dashboard names exactly the metrics that a study exports."""

import json
import re
from pathlib import Path
from typing import Any

from cluster.metrics import COUNTERS, GAUGES

DASHBOARD = Path(__file__).resolve().parent.parent.parent / "deploy" / "grafana" / "passivbot.json"
PREFIX = "ray_"  # Ray puts it before the name of every metric


def expressions(value: Any) -> list[str]:
    """Every text in the dashboard that Prometheus is asked."""
    if isinstance(value, dict):
        own = [value[key] for key in ("expr", "query") if isinstance(value.get(key), str)]
        return own + [text for inner in value.values() for text in expressions(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in expressions(inner)]
    return []


def names(text: str) -> set[str]:
    return set(re.findall(r"\b(?:ray_)?passivbot_\w+", text))


def test_it_asks_for_all_metrics_and_no_others() -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = {name for text in expressions(board) for name in names(text)}
    assert asked == {f"{PREFIX}{name}" for name in (*GAUGES, *COUNTERS)}


def test_counters_are_asked_for_their_growth_and_gauges_are_not() -> None:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            for name in names(target["expr"]):
                grows = re.search(rf"(rate|increase)\({name}\{{study=~\"\$study\"\}}\[", target["expr"])
                assert bool(grows) == (name.removeprefix(PREFIX) in COUNTERS), target["expr"]


def test_panels_do_not_overlap() -> None:
    board = json.loads(DASHBOARD.read_text())
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
