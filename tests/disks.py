"""Small and read-only disks: real ones, since root ignores mode bits."""

import subprocess
from pathlib import Path

from tests.needs import lacking


def mount(target: Path, *options: str) -> None:
    """Mount, or say why that is not possible; on the build machine it has to be."""
    done = subprocess.run(["mount", *options, str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        lacking(f"needs the right to mount: {done.stderr.strip()}")


def unmount(target: Path) -> None:
    """Take it away, also while something below it is open."""
    subprocess.run(["umount", "-l", str(target)], check=True)
