"""Who may import whom."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted([*ROOT.glob("hscl_fast/**/*.py"), *ROOT.glob("kernels/**/*.py")])

# A module of hscl_fast may import only these of its siblings; those not named here are free.
ALLOWED = {
    "errors": set(),
    "atomic": set(),
    "console": set(),
    "interrupt": set(),
    "progress": set(),
    "schedule": set(),
    "compile_cache": set(),
    "compiling": {"errors"},
    "optimizer": set(),
    "guard": {"optimizer"},
    "released": set(),
    "policies": set(),
    "recipes": set(),
    "config": {"errors", "policies"},
    "config_parsing": {"config", "errors"},
    "data": {"atomic", "config", "errors", "data"},
    "model": {"config", "errors"},
    "checkpoint": {"atomic", "errors"},
    "metrics": {"errors"},
    "baselines": {"errors", "metrics"},
    "report": {"atomic", "errors", "metrics", "report"},
    "augment": {"config", "policies"},
    "objective": {"augment", "config", "released"},
    "scoring": {"augment", "compiling", "config", "device", "model"},
    "views_command": {"atomic", "augment", "config", "console", "data", "errors", "report"},
    "data_commands": {"config", "console", "data", "errors", "interrupt", "views_command"},
    "doctor": {
        *("augment", "compiling", "config", "config_parsing", "console", "data", "device", "errors"),
        *("doctor", "model", "run_directory", "trainer"),
    },
    "device": {"config", "errors"},
    "distributed": {"config", "device", "errors"},
    "stop_agreement": {"distributed"},
    "global_batch_norm": set(),
    "data_parallel": {"distributed", "global_batch_norm", "model"},
    "step": {
        *("augment", "compiling", "config", "data", "data_parallel", "device", "distributed"),
        *("guard", "model", "objective", "optimizer", "schedule"),
    },
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(path):
    """The room of hscl_fast a file is in."""
    return path.relative_to(ROOT / "hscl_fast").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    names = set(imported(path))
    tops = {name.split(".")[0] for name in names}
    assert not tops & {"tests", "benchmarks"}
    if "kernels" in path.parts:
        assert tops <= {"hscl_kernels", "torch", "triton", *sys.stdlib_module_names}
        return
    room = inside(path)
    siblings = {name.split(".")[1] for name in names if name.startswith("hscl_fast.")} - {"__version__"}
    if room in ALLOWED:
        assert siblings <= ALLOWED[room]
