import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a document beside the test and return its path; sections that every file needs are added."""

    def write(name: str = "c.json", /, **sections: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"bot": {}, "live": {}} | sections))
        return path

    return write
