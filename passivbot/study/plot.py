"""The page of a front: one HTML file that needs no network; plotly.js stands in it."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from passivbot.study.export import write_text
from passivbot.study.front import Front
from passivbot.study.page_data import page_data
from passivbot.study.study import Results, Study

PAGE = "front.html"
SCRIPTS = ("base.js", "store.js", "scatter.js", "charts.js", "parallel.js", "detail.js", "list.js", "app.js")
"""Of the page, in the order in which they run."""

__all__ = ["PAGE", "html", "page", "page_data", "write_page"]


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
    """Return the HTML text of a page that holds these data."""
    return html(data, f"<script>{plotly()}</script>")


def html(data: Mapping[str, Any] | None, library: str) -> str:
    """Return the HTML text of the page.

    Parameters
    ----------
    data
        What it shows; None: it asks the server that sent it.
    library
        The element that brings plotly.js.
    """
    asset = files("passivbot.study") / "page"
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Template((asset / "page.html").read_text("utf-8")).substitute(
        style=(asset / "page.css").read_text("utf-8"),
        # "<" as an escape: nothing in a name can end the script element.
        data=text.replace("<", "\\u003c"),
        plotly=library,
        script="\n".join((asset / name).read_text("utf-8") for name in SCRIPTS),
    )


def plotly() -> str:
    """Return plotly.js, as the installed package has it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
