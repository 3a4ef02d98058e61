"""What a machine says of itself, in words that it understands without our wheel.

Ray carries this module to the machine by value, so it has the standard library and, if installed, ours.
"""

import importlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGES = ("passivbot-cluster", "ray", "numpy", "pyarrow", "deap")
"""What has to be of the same version everywhere."""


class Probe:
    """An actor without a processor, so that it starts where all are taken."""

    def look(self) -> dict[str, Any]:
        """Return versions, memory and cache of this machine; plain values only."""
        facts: dict[str, Any] = {
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
            "environment": {name: value for name, value in os.environ.items() if name.startswith("RAY_")},
            "memory": _memory(),
            "engine": None,
            "sources": None,
            "result": None,
            "cache": None,
            "cache_fault": None,
            "cache_free": 0,
            "wheel_fault": None,
        }
        facts["environment"].pop("RAY_AUTH_TOKEN", None)
        try:
            ours = importlib.import_module("cluster.fingerprint")
            facts |= ours.fingerprint()
            # As a container allows it, which only ours knows how to ask.
            facts["memory"] = importlib.import_module("cluster.memory").available_memory()
        except Exception as error:
            facts["wheel_fault"] = f"{type(error).__name__}: {error}"
            return facts
        folder = ours.cache_folder()
        facts["cache"] = str(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                facts["cache_free"] = shutil.disk_usage(folder).free
        except OSError as error:
            facts["cache_fault"] = error.strerror or str(error)
        return facts

    def clock(self) -> float:
        """Return the time here."""
        return time.time()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory() -> int:
    """Return the bytes that are free on this machine, 0 if that can't be told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else 0
