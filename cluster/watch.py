"""Watching the head of a cluster: Ray ends its drivers where the head is gone, with a text of its own."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 2

_EVERY_SECONDS = 1.0
_CONNECT_SECONDS = 1.0
# A refusal is the machine's word that its head has ended, and a head that is started anew is another cluster;
# silence may pass. Ray ends the process after 10 s (RAY_gcs_rpc_server_reconnect_timeout_s).
_REFUSALS = 2
_SILENCES = 4
_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def watched(address: str) -> Iterator[None]:
    """End this process, with a message, when nobody listens at ``HOST:PORT`` any more.

    At once and without cleaning up: whatever is tried then waits for the head. A study loses nothing by it,
    since its log is written in whole transactions.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, over), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, over: threading.Event) -> None:
    missed = 0.0
    while not over.wait(_EVERY_SECONDS):
        step = _missing(address)
        missed = missed + step if step else 0.0
        if missed >= 1.0 and not over.is_set():
            if sys.stdout.isatty():
                print(_SHOW_CURSOR, end="", flush=True)  # a live table hides it
            print(
                f"\nerror: the head of the cluster, {address}, is gone; what was evaluated is in the study: "
                "start the head again, and go on with `passivbot optimize --study STUDY --resume`",
                file=sys.stderr,
                flush=True,
            )
            os._exit(EXIT_CODE)


def _missing(address: str) -> float:
    """Return how much one try speaks for a lost head: 0 if it listens, 1 if that were certain."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return 1.0 / _REFUSALS
    except OSError:
        return 1.0 / _SILENCES
    return 0.0
