"""The rules of the layout that no compiler checks: who imports whom, how long a file is, what it names."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 600
MAX_BYTES = 3_000_000
# Folders of somebody's machine that nobody else has.
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:home|root|Users|work|mnt)/" + r"[\w.]")


def tracked() -> list[Path]:
    """Files of the checkout that git tracks or would track; links are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import in a file, at whatever depth it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def importers(package: str, forbidden: set[str]) -> list[str]:
    """Each ``file:line: module`` in a package that imports one of the forbidden."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"there is no {package}"
    return [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in files
        for line, module in imports(path)
        if module in forbidden
    ]


def test_passivbot_knows_neither_ray_nor_cluster() -> None:
    assert importers("passivbot", {"ray", "cluster"}) == []


LAYERS = (
    "errors times _engine _resources",
    "disk engine sqlite",
    "lock planner config",
    "exchanges versions",
    "market ops",
    "backtest live",
    "study venue",
    "promotion",
    "cli",
    "__main__ __init__",
)
"""Rooms of ``passivbot``, lowest first: each imports those of lower rows only, and itself."""


def test_rooms_import_lower_rooms_only() -> None:
    height = {room: n for n, row in enumerate(LAYERS) for room in row.split()}
    wrong = []
    for path in sorted((ROOT / "passivbot").rglob("*.py")):
        room = path.relative_to(ROOT / "passivbot").parts[0].removesuffix(".py")
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for node in (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)):
            for module in ours(node):
                other = module.split(".")[1]
                if other != room and height[other] >= height[room]:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {module}")
    assert wrong == []


def ours(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Modules below ``passivbot`` that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.startswith("passivbot.")]
    if node.module == "passivbot":
        return [f"passivbot.{alias.name}" for alias in node.names]
    return [node.module] if node.module and node.module.startswith("passivbot.") else []


def test_no_package_imports_the_tests() -> None:
    assert importers("passivbot", {"tests", "conftest", "pytest"}) == []
    assert importers("cluster", {"tests", "conftest", "pytest"}) == []


def test_core_depends_on_no_python_binding() -> None:
    """Not even through another crate: all of the lock file's tree below ``passivbot-core`` is looked at."""
    lock = tomllib.loads((ROOT / "engine-rs" / "Cargo.lock").read_text())
    needs = {crate["name"]: crate.get("dependencies", []) for crate in lock["package"]}
    reached, todo = set(), ["passivbot-core"]
    while todo:
        crate = todo.pop()
        if crate not in reached:
            reached.add(crate)
            todo.extend(line.split()[0] for line in needs[crate])
    assert sorted(crate for crate in reached if crate.startswith(("pyo3", "numpy", "python3"))) == []


def test_files_can_be_read_in_a_sitting() -> None:
    code = [path for path in tracked() if path.suffix in {".py", ".pyi", ".rs", ".sh"}]
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in code}
    assert len(lengths) > 10
    assert {str(path): n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_no_file_is_large() -> None:
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in tracked()}
    assert {path: size for path, size in sizes.items() if size > MAX_BYTES} == {}


def test_no_file_names_a_path_of_one_machine() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # binary: the demo candles, pictures
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if MACHINE_PATH.search(line)
        ]
    assert found == []


def test_the_rules_see_what_they_forbid(tmp_path: Path) -> None:
    """The helpers above find an import inside a function, and a path in a string."""
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from ray.util import state\n")
    assert list(imports(module)) == [(2, "ray")]
    assert MACHINE_PATH.search('open("' + "/ho" + 'me/ann/candles")')
    assert not MACHINE_PATH.search("~/mnt/candles, $HOME/mnt/x and docs/mnt/x")
