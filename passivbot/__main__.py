"""``python -m passivbot`` is the program ``passivbot``."""

from passivbot.cli.main import run

if __name__ == "__main__":
    run()
