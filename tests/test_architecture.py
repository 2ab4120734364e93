"""Which packages may import which. The rules name folders, so a new file needs no line here."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*ROOT.glob("hscl_fast/**/*.py"), *ROOT.glob("kernels/**/*.py")])

# The rooms of hscl_fast, and which of the others each may import. The files beside them are leaves.
LEAVES = {
    *(
        "atomic",
        "compiling",
        "console",
        "counted",
        "csv_text",
        "deferred_compiler",
        "deferred_hub",
        "device",
        "errors",
        "inductor_cache",
        "interrupt",
        "light_timm",
        "limited_file",
        "pickle_operations",
    ),
    *("progress", "spelling", "strict_json"),
}
ROOMS = {
    "config": set(),
    "ranks": {"config"},
    "data": {"config"},
    "method": {"config"},
    "evaluation": {"config", "data", "method"},
    "training": {"config", "data", "method", "ranks"},
    "comparators": {"config", "data", "method", "training"},
    "runs": {"comparators", "config", "data", "evaluation", "method", "ranks", "training"},
    "review": {"config", "data", "evaluation", "runs"},
    "detector": {"config", "data", "export", "method", "ranks", "runs"},
    "doctor": {"config", "data", "method", "runs", "training"},
    "export": {"config", "data", "evaluation", "method", "runs"},
    "many_runs": {"config", "runs"},
    "reproduce": {
        *("comparators", "config", "data", "doctor", "evaluation", "many_runs", "method", "runs", "training"),
    },
    "cli": {"config", "data", "doctor", "evaluation", "export", "method", "ranks", "reproduce", "review", "runs"},
}
# Inside data: each group may import itself and those above it.
DATA = (
    {"bad_images", "damage", "paths", "types"},
    {"brightness", "columns", "left_out"},
    {"decode"},
    {"bit_depth", "find", "skip_bad"},
    {"named", "user", "beton", "arrivals", "new_images", "shrinking"},
    {"kinds", "places", "split", "given_images", "readable"},
    {"added_files", "open", "originals", "other_test"},
    {"prepare", "verify"},
    {"loaders"},
)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path):
    """The parts of a module's name below hscl_fast."""
    return path.relative_to(ROOT / "hscl_fast").with_suffix("").parts


def below(names, *parents):
    """What comes after the parents in dotted names that begin with them."""
    start = [*parents]
    parts = (name.split(".") for name in names)
    return {some[len(start)] for some in parts if some[: len(start)] == start and len(some) > len(start)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    names = set(imported(path))
    tops = {name.split(".")[0] for name in names}
    assert not tops & {"tests", "benchmarks"}
    if "kernels" in path.parts:
        assert tops <= {"hscl_kernels", "torch", "triton", *sys.stdlib_module_names}
        return
    room, *rest = place(path)
    others = below(names, "hscl_fast") - {"__version__", room}
    if room in ROOMS:
        assert others <= ROOMS[room] | LEAVES
    elif room in LEAVES:
        assert others <= LEAVES
    if room == "data" and rest[0] != "__init__":
        level = next(number for number, group in enumerate(DATA) if rest[0] in group)
        allowed = set().union(*DATA[:level], {rest[0]})
        assert below(names, "hscl_fast", "data") <= allowed | ({"named", "user", "beton"} & {rest[0]})


def test_every_room_is_listed():
    found = {place(path)[0] for path in MODULES if "kernels" not in path.parts} - {"__init__", "__main__"}
    assert found == ROOMS.keys() | LEAVES


def test_benchmarks_and_the_self_check_import_no_private_name():
    """Those who copy a benchmark, or change what it measures, find only what is meant for others."""
    files = [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("kernels/hscl_kernels/selfcheck/*.py")]
    assert files
    private = [
        f"{path.relative_to(ROOT)}: {alias.name} of {node.module}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("hscl_", "benchmarks"))
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not private


def test_no_two_test_files_share_a_name():
    """pytest imports them by their names alone, and would leave the second one out."""
    names = [path.name for path in ROOT.glob("tests/**/test_*.py")]
    assert sorted(set(names)) == sorted(names)
