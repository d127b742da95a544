"""The house rules for imports: each room imports only from the rooms below it, and the front door is light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pgtheory

ROOT = Path(__file__).parents[1]
FRONT_DOOR = "pgtheory"  # pgtheory/__init__.py, through which every room can be reached
MAY_IMPORT = {
    FRONT_DOOR: {"environments"},
    "environments": set(),
    "lazy": set(),
    "mdp": {"environments", "lazy"},
    "policies": {"mdp"},
    "objectives": {"mdp", "lazy"},
    "continuous": {"mdp"},
    "problems": {"mdp", "policies", "continuous", "objectives"},
    "brrl": {"mdp"},
    "agnostic": {"mdp", "lazy"},
    "oracle": {"mdp", "objectives", "lazy"},
    "deep": {"mdp", "objectives", "lazy"},
    "hybrid": {"mdp", "policies", "objectives", "deep", "lazy"},
    "methods": {"mdp", "problems"},
    "theory": {"mdp", "policies", "continuous", "problems"},
    "plots": {"mdp", "policies", "problems"},
    "symbolic": {"mdp"},
    "evidence": set(),
}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
LANGUAGE_MODELS = "small_llm"  # a package beside this one, on top of these rooms:
THEIR_ROOMS = {"mdp", "objectives", "deep", "evidence", "oracle", "lazy"}
HEAVY = ("torch", "scipy", "matplotlib", "numba", "xarray", "sympy")


def test_every_room_imports_only_rooms_below_it():
    assert trespasses(ROOT / "pgtheory") == []


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("mdp/finite.py", "from pgtheory.problems import ExactProblem", "problems"),
        ("mdp/planning/solve.py", "from ...policies.softmax import TabularSoftmax", "policies"),
        ("mdp/planning/__init__.py", "from ... import plots", "plots"),
        ("policies/softmax.py", "from pgtheory import problems", "problems"),
        ("policies/softmax.py", "def later():\n    import pgtheory.plots.landscape", "plots"),
        ("problems/exact.py", "from pgtheory import make", FRONT_DOOR),
        ("problems/exact.py", "import pgtheory as pg", FRONT_DOOR),
        ("evidence/report.py", "from pgtheory.mdp import FiniteMDP", "mdp"),
        ("symbolic.py", "from .cli import main", "cli"),
        ("__init__.py", "import pgtheory.mdp", "mdp"),
        ("methods/npg.py", "from pgtheory.theory import bounds", "theory"),
    ],
)
def test_an_import_from_above_is_noticed(tmp_path, file, line, target):
    path = tmp_path / "pgtheory" / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    found = trespasses(tmp_path / "pgtheory")
    assert len(found) == 1
    assert found[0].endswith(f"imports {target}")


def test_language_models_stand_on_the_rooms_below_them():
    rooms = {
        room
        for path in (ROOT / LANGUAGE_MODELS).rglob("*.py")
        for _, room in imported_rooms(path, ROOT / "pgtheory")
    }
    assert rooms == THEIR_ROOMS
    below = [path for path in (ROOT / "pgtheory").rglob("*.py") if LANGUAGE_MODELS in imported_packages(path)]
    assert below == []


def test_imports_that_go_down_or_stay_are_fine(tmp_path):
    room = tmp_path / "pgtheory" / "plots"
    room.mkdir(parents=True)
    (room / "landscape.py").write_text(
        "import numpy\nfrom pgtheory.mdp import validate\nfrom pgtheory.plots import explorer\n"
        "from . import gridworld\nfrom ..problems.exact import ExactProblem\n"
    )
    assert trespasses(tmp_path / "pgtheory") == []


def test_the_page_about_the_house_draws_these_rooms():
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    drawn = {room: set(re.findall(r"`(\w+)`", below)) for room, below in rows}
    everything = {*MAY_IMPORT} - {FRONT_DOOR, "cli"}
    rooms = {room: below for room, below in MAY_IMPORT.items() if room != FRONT_DOOR}
    assert drawn == rooms | {"cli": everything}
    on_disk = {path.stem for path in (ROOT / "pgtheory").iterdir() if is_room(path)}
    assert on_disk == rooms.keys()
    (line,) = re.findall(rf"`{LANGUAGE_MODELS}/` stands on ([^.]+)\.", page)
    assert set(re.findall(r"`(\w+)`", line)) == THEIR_ROOMS


def test_the_front_door_is_light():
    code = f"""
import sys, time
start = time.thread_time()  # who else is on the machine does not count
import pgtheory
print(time.thread_time() - start, *(name for name in {HEAVY} if name in sys.modules))
"""
    for _ in range(20):  # a busy machine is slow now and then; a heavy import is slow every time
        seconds, *heavy = run(code).split()
        assert heavy == []
        if float(seconds) < 0.3:
            return
    pytest.fail(f"importing pgtheory takes {seconds} s")


def test_language_models_are_imported_on_first_use():
    heavy = [*(name for name in HEAVY if name != "scipy"), "transformers"]
    code = f"import sys, small_llm, small_llm.__main__; print(*(m for m in {heavy} if m in sys.modules))"
    assert run(code).split() == []


def test_rooms_leave_what_is_heavy_for_first_use():
    rooms = MAY_IMPORT.keys() - {FRONT_DOOR, "cli", "symbolic"}
    imports = "; ".join(f"import pgtheory.{room}" for room in sorted(rooms))
    heavy = [name for name in HEAVY if name != "scipy"]  # whose sparse arrays are part of an MDP
    assert run(f"import sys; {imports}; print(*(m for m in {heavy} if m in sys.modules))").split() == []


def test_every_name_at_the_front_door_opens():
    assert all(getattr(pgtheory, name) is not None for name in pgtheory.__all__)
    with pytest.raises(AttributeError, match="no attribute 'mpd'"):
        pgtheory.mpd  # noqa: B018


def trespasses(package: Path) -> list[str]:
    """Every import of another room that the importing room may not make, as ``file:line imports room``."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        room = FRONT_DOOR if inside == Path("__init__.py") else inside.parts[0].removesuffix(".py")
        for line, target in imported_rooms(path, package):
            if target != room and target not in MAY_IMPORT.get(room, ()):
                found.append(f"{inside}:{line} imports {target}")
    return found


def imported_rooms(path: Path, package: Path) -> list[tuple[int, str]]:
    """Line and room of every import of this package in a file, wherever in the file it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{absolute(node, path, package)}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "pgtheory":
                found.append(
                    (node.lineno, rest[0] if rest and is_known_room(rest[0], package) else FRONT_DOOR)
                )
    return found


def imported_packages(path: Path) -> set[str]:
    """First names of everything that a file imports from elsewhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def absolute(node: ast.ImportFrom, path: Path, package: Path) -> str:
    """The module that ``from … import`` names, its leading dots resolved."""
    if node.level == 0:
        return node.module or ""
    folder = path.parents[node.level - 1].relative_to(package.parent)
    return ".".join([*folder.parts, *([node.module] if node.module else [])])


def is_known_room(name: str, package: Path) -> bool:
    return name in MAY_IMPORT or (package / name).is_dir() or (package / f"{name}.py").is_file()


def is_room(path: Path) -> bool:
    if path.is_dir():
        return (path / "__init__.py").exists()
    return path.suffix == ".py" and path.stem != "__init__"


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
