"""Where a person finds the page of the study that runs: beside it, or in the dashboard of the cluster."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from passivbot.errors import ResourceError
from passivbot.study.serve.beside import Beside


@contextmanager
def shown(folder: Path, *, local: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Let the page be had while the body runs, and say where.

    Parameters
    ----------
    folder
        Of the study.
    local
        Whether Ray was started for this study alone: then the page is served beside it. Ray's own dashboard
        would take some hundred MB and some seconds.
    say
        Prints one line.
    """
    if not local:
        address = dashboard()
        if address:
            say(f"page: {address} (in Ray's dashboard, under Pareto)")
        yield
        return
    try:
        beside = Beside(folder)
    except ResourceError as error:
        say(f"note: no page while it runs: {error}")
        yield
        return
    say(f"page: {beside.address} (while it runs)")
    try:
        yield
    finally:
        beside.close()


def dashboard() -> str | None:
    """Return the page's address in the dashboard of the cluster that this process joined, if it has one."""
    with suppress(Exception):
        # Not public.
        url = importlib.import_module("ray._private.worker").get_dashboard_url()
        return f"http://{url}/pareto/" if url else None
    return None
