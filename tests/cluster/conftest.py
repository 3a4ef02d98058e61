"""One local Ray for all tests of a session that need one in their own process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.launch import Cluster, local_cluster

ROOT = Path(__file__).resolve().parent.parent.parent
# The workers import the tests' evaluators.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Cluster]:
    with local_cluster(3, 400_000_000) as cluster:
        yield cluster
