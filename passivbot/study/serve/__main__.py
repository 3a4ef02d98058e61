"""What :class:`passivbot.study.serve.beside.Beside` starts: ``SOCKET FOLDER``."""

import sys
from pathlib import Path

from passivbot.study.serve.beside import run

if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]))
