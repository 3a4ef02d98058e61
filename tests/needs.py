"""What tests need of the machine: without it they are skipped and say so, with CI set they fail."""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """End a test that lacks something."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def needed(program: str) -> str:
    """Return the path of a program that a test can't do without."""
    path = shutil.which(program)
    return lacking(f"needs {program}") if path is None else path
