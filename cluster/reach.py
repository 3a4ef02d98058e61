"""The studies of a cluster, seen from a machine that is no part of it: by its key-value store alone.

Joining as a driver takes seconds and makes this machine a node; reading the board takes neither.
"""

import importlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from cluster.board import Board, Notice
from cluster.launch import head_address, prepare_environment
from cluster.watch import watched
from passivbot.errors import ClusterError, StudyError, nearest

_DASHBOARD_NAMESPACE = b"dashboard"


def reach(address: str) -> Board:
    """Return the board of a cluster.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the head, or ``auto`` for the cluster of this machine.

    Raises
    ------
    ClusterError
        No Ray head answers there, or none that lets us in.
    """
    prepare_environment()
    found = head_address(address)
    kv = importlib.import_module("ray.experimental.internal_kv")
    raylet = importlib.import_module("ray._raylet")
    kv._initialize_internal_kv(raylet.GcsClient(address=found))
    return Board(found)


def dashboard_address(address: str) -> str:
    """Return the URL of a cluster's dashboard, which takes jobs.

    Raises
    ------
    ClusterError
        The cluster can't be reached, or runs without a dashboard.
    """
    if "://" in address:
        return address
    reach(address)
    kv = importlib.import_module("ray.experimental.internal_kv")
    constants = importlib.import_module("ray._private.ray_constants")
    found = kv._internal_kv_get(constants.DASHBOARD_ADDRESS.encode(), namespace=_DASHBOARD_NAMESPACE)
    if not found:
        raise ClusterError(f"--address {address}: the cluster has no dashboard, which takes jobs")
    return f"http://{found.decode()}"


def find(notices: Sequence[Notice], study: str) -> Notice:
    """Return the study with this id or name; of those of one name the one that runs.

    Raises
    ------
    StudyError
        There is none, or more than one.
    """
    found = [notice for notice in notices if study in (notice.id, notice.name)]
    running = [notice for notice in found if notice.live]
    if len(found) > 1 and len(running) == 1:
        found = running
    if len(found) > 1:
        places = ", ".join(f"{notice.id} ({notice.host}:{notice.folder})" for notice in found)
        raise StudyError(f"{study}: several studies have this name; name one by its id: {places}")
    if not found:
        near = nearest(study, [name for notice in notices for name in (notice.name, notice.id)])
        raise StudyError(
            f"{study}: the cluster knows no such study" + (f" (nearest: {near})" if near else "")
        )
    return found[0]


def wish(board: Board, notice: Notice, **wanted: Any) -> None:
    """Leave a study what is wanted of it.

    Raises
    ------
    StudyError
        It does not run.
    """
    if not notice.live:
        raise StudyError(f"{notice.name}: the study does not run: {state_text(notice)}")
    control = json.loads(board.get("control", notice.id) or b"{}")
    board.put("control", notice.id, json.dumps({**control, **wanted}).encode())


def follow(board: Board, study: str, seen: Callable[[Notice], None], seconds: float = 1.0) -> Notice:
    """Call ``seen`` with what a study says, again and again; return what it said last, when it has ended.

    If the head of the cluster is lost meanwhile, this process ends with a message.
    """
    with watched(board.head) if board.head else nullcontext():
        while True:
            notice = find(board.studies(), study)
            seen(notice)
            if not notice.live:
                return notice
            time.sleep(seconds)


def state_text(notice: Notice) -> str:
    """Return the state of a study in words: one that fell silent while it ran is lost."""
    if notice.live or notice.state in ("finished", "stopped", "failed"):
        return notice.state
    return f"lost (silent for {notice.silent:.0f} s)"
