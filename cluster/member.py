"""Being a node of a cluster for as long as a study runs.

Ray lets only its nodes be drivers. A machine that reaches the head and is no node, such as a notebook,
becomes one without processors: it drives the study and gets no workers.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]

from passivbot.errors import ClusterError

JOIN_SECONDS = 180.0
"""A loaded machine needs a minute to start a node; others five seconds."""

LEAST_STORE = 80_000_000
"""Bytes of an object store; Ray refuses less than 75 MB."""

# The node ends with this process, however that ends (Linux; elsewhere it is ended if this process can).
_NODE = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
from ray.scripts.scripts import main
main()
"""


def is_member(addresses: Sequence[str]) -> bool:
    """Return whether one of a cluster's nodes is this machine."""
    own = {address.address for found in psutil.net_if_addrs().values() for address in found}
    return not own.isdisjoint(addresses)


@contextmanager
def membership(address: str, nodes: Callable[[], Sequence[str]], object_store: int) -> Iterator[None]:
    """Make this machine a node, and take it out again.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the head.
    nodes
        Asks the head for the addresses of its nodes.
    object_store
        Bytes for what this machine shares with the others.

    Raises
    ------
    ClusterError
        It can't become one.
    """
    with tempfile.TemporaryFile("w+") as output:
        node = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-c",
                    _NODE,
                    "start",
                    f"--address={address}",
                    "--num-cpus=0",
                    "--num-gpus=0",
                ),
                *(
                    f"--object-store-memory={max(object_store, LEAST_STORE)}",
                    "--disable-usage-stats",
                    "--block",
                ),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the study, which ends in its own time
        )
        try:
            until = time.monotonic() + JOIN_SECONDS
            while not is_member(nodes()):
                if node.poll() is not None or time.monotonic() > until:
                    reason = "it takes too long"
                    if node.returncode is not None:
                        output.seek(0)
                        lines = [line.strip() for line in output.read().splitlines() if line.strip()]
                        reason = lines[-1][:200] if lines else f"exit code {node.returncode}"
                    raise ClusterError(
                        f"--address {address}: this machine is no node of the cluster and can't become one: "
                        f"{reason}"
                    )
                time.sleep(0.2)
            yield
        finally:
            node.terminate()
            try:
                node.wait(15)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()
