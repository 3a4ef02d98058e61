"""Ray for one study: started on this machine, or joined where it runs already.

``ray`` is imported here and not at the top of a module: it takes a second, and its settings are read from
the environment once, when it is imported.
"""

import importlib
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.member import is_member, membership
from cluster.watch import watched
from passivbot.errors import ClusterError, ResourceError, first_line
from passivbot.ops.environment import forget

FAULT_SETTINGS: Mapping[str, str] = {
    # With Ray's own settings a machine that loses power stays unnoticed for a minute, and calls on it hang.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_grpc_client_keepalive_time_ms": "2000",
    "RAY_grpc_client_keepalive_timeout_ms": "2000",
    "RAY_raylet_liveness_self_check_interval_ms": "2000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}
"""The same for head, nodes and driver; what stands in the environment already is left as it is."""

_UNSEEN_SETTINGS: Mapping[str, str] = {
    # Nobody looks into a Ray of our own, which has no dashboard: what it would tell one costs two workers
    # on two processors half a percent of their time.
    "RAY_task_events_report_interval_ms": "0",  # none are kept
    "RAY_enable_metrics_collection": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "3600000",  # processor and memory of each process
}

_PROBE = """
import sys
from ray._raylet import GcsClient
found = GcsClient(address=sys.argv[1]).get_all_node_info()
print(*(node.node_manager_address for node in found.values() if node.state == 0))
"""
_PROBE_SETTINGS = {
    "RAY_gcs_rpc_server_connect_timeout_s": "2",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "4",
}
_TOKEN = "it asks for another token (RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or ~/.ray/auth_token)"
_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is the driver of.

    Attributes
    ----------
    local
        Started by us, on this machine; ends with us.
    cpus
        Of all nodes that are alive.
    nodes
        Number of nodes that are alive.
    """

    local: bool
    cpus: int
    nodes: int


@contextmanager
def local_cluster(cpus: int, object_store: int, *, plasma_folder: Path | None = None) -> Iterator[Cluster]:
    """Start Ray on this machine, without its dashboard, and end it.

    Parameters
    ----------
    cpus
        How many workers may run at once.
    object_store
        Bytes for shared objects: the candles.
    plasma_folder
        Where they lie; default: ``/dev/shm``.

    Raises
    ------
    ResourceError
        The machine does not let Ray start.
    """
    prepare_environment()
    secure_token()
    ray = _ray()
    try:
        with _environment(_UNSEEN_SETTINGS):
            ray.init(
                address="local",  # never what RAY_ADDRESS or an earlier `ray start` says
                num_cpus=cpus,
                num_gpus=0,
                object_store_memory=object_store,
                include_dashboard=False,
                _plasma_directory=str(plasma_folder) if plasma_folder else None,
                **_quiet(),
            )
    except Exception as error:  # a node that is slow to start is one of no better class
        ray.shutdown()
        raise ResourceError(f"Ray does not start on this machine: {first_line(error)}") from error
    _end_unread()
    try:
        yield Cluster(local=True, cpus=cpus, nodes=1)
    finally:
        ray.shutdown()


@contextmanager
def attached_cluster(address: str, object_store: int = 0) -> Iterator[Cluster]:
    """Join a running cluster as a driver, and leave it; this machine becomes a node of it if it is none.

    Parameters
    ----------
    address
        ``HOST:PORT`` of its head, or ``auto`` for the one on this machine.
    object_store
        Bytes that this machine shares with the others, where it has to become a node.

    Raises
    ------
    ClusterError
        Nothing answers there, it is not the head of a Ray cluster, or one that does not let us in.
    """
    prepare_environment()
    found = _own_head() if address == "auto" else address
    with ExitStack() as stack:
        if found is not None:
            nodes = _require_head(found, address)
            if not is_member(nodes):
                stack.enter_context(membership(found, lambda: _probe(found)[1], object_store))
        ray = _ray()
        stack.callback(ray.shutdown)
        try:
            ray.init(address=found or address, **_quiet())
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise ClusterError(f"--address {address}: can't join the cluster: {first_line(error)}") from error
        if found is not None:
            stack.enter_context(watched(found))
        alive = [node for node in ray.nodes() if node["Alive"]]
        yield Cluster(
            local=False,
            cpus=sum(int(node["Resources"].get("CPU", 0)) for node in alive),
            nodes=len(alive),
        )


def head_address(address: str) -> str:
    """Return ``HOST:PORT`` of the head that an address means, which answers there and lets us in.

    Raises
    ------
    ClusterError
        None does.
    """
    found = _own_head() if address == "auto" else address
    if found is None:
        raise ClusterError("--address auto: no Ray cluster runs on this machine")
    _require_head(found, address)
    return found


def prepare_environment(environment: dict[str, str] | None = None) -> None:
    """Set what Ray reads from the environment: quick detection of faults, no usage statistics.

    API keys and passphrases are taken out of it: workers need none, and would inherit them.
    """
    target = os.environ if environment is None else environment
    forget(target)
    for name, value in {**FAULT_SETTINGS, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        target.setdefault(name, value)


def secure_token() -> None:
    """Keep the cluster's token from other users of the machine.

    A local Ray asks for a token unless ``RAY_AUTH_MODE=disabled``, as its ports are open to the network, and
    writes one into the home folder that everybody may read if there is none. So write it first.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    path = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # a home that can't be written is Ray's to report
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ray() -> Any:
    ray = importlib.import_module("ray")
    # Ray prints every death of a worker to stdout, past its own log settings; the head reports them itself.
    # Not public: where it is missing, the messages are printed.
    with suppress(AttributeError):
        ray._private.worker.print_to_stdstream = _to_log
    return ray


def _to_log(data: Mapping[str, Any], *_: object, **__: object) -> None:
    for line in data.get("lines", ()):
        logging.getLogger("cluster.ray").info("%s", line)


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.ERROR}


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set what is not set yet in the environment of the processes that the body starts."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _end_unread() -> None:
    """End the processes of a Ray of our own that nobody needs: who reads logs to a driver, who adds machines.

    Not public: where Ray has no way to do it, they run on.
    """
    with suppress(Exception):
        node = importlib.import_module("ray._private.worker").global_worker.node
        node.kill_log_monitor(check_alive=False)
        node.kill_monitor(check_alive=False)
        node.kill_dashboard(check_alive=False)


def _own_head() -> str | None:
    """Return the address of the cluster that this machine is in, None if Ray has to look for it."""
    if given := os.environ.get("RAY_ADDRESS"):
        return given
    # Not public; without it Ray looks itself, and takes half a minute to say that a token is wrong.
    with suppress(AttributeError, ImportError):
        found: str | None = importlib.import_module("ray._private.utils").read_ray_address(None)
        return found
    return None


def _require_head(address: str, given: str) -> tuple[str, ...]:
    """Return the addresses of a head's nodes; raise if none answers, as Ray would end the whole process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ClusterError(f"--address is {given!r}; allowed is HOST:PORT of a Ray head, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"--address {given}: no Ray head answers there ({error.strerror or error})"
        ) from error
    reason, nodes = _probe(address)
    if reason == _TOKEN and "RAY_AUTH_MODE" not in os.environ:
        # `ray start` asks for the token of this machine's user, where there is one, without being told to; a
        # driver that names an address does not send it unless it is told to.
        os.environ["RAY_AUTH_MODE"] = "token"
        reason, nodes = _probe(address)
        if reason:
            del os.environ["RAY_AUTH_MODE"]
    if reason:
        raise ClusterError(f"--address {given}: no Ray head that lets us in: {reason}")
    return nodes


def _probe(address: str) -> tuple[str | None, tuple[str, ...]]:
    """Ask a head for its nodes, in a process of its own; return why that failed, and their addresses."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            env={**os.environ, **_PROBE_SETTINGS},
            timeout=_PROBE_SECONDS,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no answer in time", ()
    return (_reason(probe.stderr), ()) if probe.returncode else (None, tuple(probe.stdout.split()))


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("uthentication" in line or "Unauthenticated" in line for line in lines):
        return _TOKEN
    if not lines or any("Failed to connect to GCS" in line for line in lines):
        return "what listens there does not answer as one"
    return lines[-1][:200]
