"""What a table says of its runs."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from hscl_fast.config.methods import COMPARATORS
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.reproduce import plan as planning
from hscl_fast.reproduce.budgets import BUDGETS
from hscl_fast.reproduce.plan import Request, make_plan
from hscl_fast.reproduce.results import read_figures, results_of
from hscl_fast.reproduce.run import run_plans
from hscl_fast.reproduce.scenarios import SCENARIOS
from hscl_fast.reproduce.tables import csv_text, html, make_table, markdown
from hscl_fast.runs.contents import MARKER


def figures(auroc, **others):
    return {
        **{"auroc": auroc - 0.1, "auroc_mean": auroc, "auroc_per_class": {"svhn": auroc}},
        **{"steps": 5, "image_size": 8, "devices": [], "cpu": "a CPU", "threads": 1, "date": "2026-11-27"},
        **{"hscl_fast": "0.1.0", "torch": "2.14.1", "commit": "0123456789abcdef", "total_seconds": 1.0},
        **others,
    }


def plan_of(name, out=Path("out"), **changes):
    return make_plan(SCENARIOS[name], replace(Request(out, stand_in="digits"), **changes))


def finished(plan, values):
    """Figures of the first runs of a plan's first cell."""
    return {run.folder: figures(value) for run, value in zip(plan.cells[0].runs, values, strict=False)}


def test_a_cell_has_the_mean_its_interval_and_the_paper_s_figure():
    plan = plan_of("table2", methods=("hscl",))
    found = finished(plan, [0.8, 0.9, 1.0])
    first, second, _ = results_of(plan, found)
    assert (first.found.value, first.pooled, first.paper) == (pytest.approx(90), pytest.approx(80), 97.9)
    assert first.found.half_width == pytest.approx(4.302653 * 10 / 3**0.5)  # Student's t with two degrees of freedom
    assert first.is_short
    assert second.found is None
    text = markdown(make_table(plan, found))
    assert "| HSCL | 90.0 ± 24.8 (3 of 90) / 97.9 | - / 97.6 | - / 97.3 |" in text
    for words in ("Budget full", "resnet18 of width 64, 8 px, batches of 256", "Split `elsa`", "commit 012345678"):
        assert words in text


def test_the_caption_says_which_classes_were_asked_for():
    plan = plan_of("table2", methods=("hscl",), classes=(0, 3), known=2)
    text = markdown(make_table(plan, finished(plan, [0.8])))
    assert "As asked for, of the normal classes: 0, 3." in text
    assert "As asked for, at most 2 known anomaly classes for each normal class." in text
    assert "1 runs" not in text
    assert "1 thread;" in text


def test_the_documented_figures_are_those_of_the_record(monkeypatch):
    """All of Table 2, Table 5 and Fig. 4 in docs/reproduce.md, as the commands there plan their runs."""
    monkeypatch.setattr(planning, "_missing", lambda data, request: None)
    text = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
    record = json.loads((ROOT / "benchmarks/results/reproduce.json").read_text(encoding="utf-8"))["runs"]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]

    def figures_of(scenario, classes, **changes):
        made = make_plan(SCENARIOS[scenario], Request(Path("out"), BUDGETS["cpu"], classes=classes, **changes))
        found = {}
        for cell in made.cells:
            for run in cell.runs:
                if run.data == "cifar10":
                    found.setdefault(cell.row.title, {})[run.normal_class, cell.column.key] = record[run.folder]
        return {
            title: [f"{100 * some[place]['auroc_mean']:.1f}" for place in sorted(some, key=lambda place: place[0])]
            for title, some in found.items()
        }

    comparators = [name for name in COMPARATORS if not name.startswith("features")]
    table2 = figures_of("table2", None, methods=("hscl", *comparators))
    assert {(title, *values) for title, values in table2.items()} == {
        tuple(row[:10]) for row in shown if len(row) == 12 and row[1][0].isdigit()
    }
    table5 = figures_of("table5", (0,))
    assert {title: values[0] for title, values in table5.items()} == {
        row[0]: row[1] for row in shown if row[0] in table5 and len(row) == 3
    }
    sweeps = [*figures_of("figure4-left", None).values(), *figures_of("figure4-right", (0,)).values()]
    assert sweeps == [row[1:] for row in shown if row[0].startswith("ours")]


def test_a_complete_cell_says_only_its_number_of_runs():
    plan = plan_of("table2", methods=("hscl",), splits=("released",))
    table = make_table(plan, finished(plan, [0.9] * 10))
    assert "| HSCL | 90.0 ± 0.0 (10) / 97.9 |" in markdown(table)


def test_both_splits_give_a_table_each_and_each_cell_a_line_of_csv():
    plan = plan_of("table1", splits=("elsa", "released"), methods=("hscl",))
    table = make_table(plan, finished(plan, [0.5]))
    assert [part.split for part in table.parts] == ["elsa", "released"]
    lines = [*csv.DictReader(io.StringIO(csv_text(table, plan)))]
    assert len(lines) == 6
    assert (lines[0]["auroc_mean"], lines[0]["runs"], lines[0]["runs_of_paper"], lines[0]["paper"]) == (
        *("50.000", "1", "90", "96.4"),
    )
    assert (lines[5]["split"], lines[5]["auroc_mean"], lines[5]["runs_of_paper"]) == ("released", "", "10")


def test_an_empty_column_says_why(tmp_path):
    plan = make_plan(SCENARIOS["table3"], Request(tmp_path, root=str(tmp_path), methods=("hscl",)))
    table = make_table(plan, {})
    text = markdown(table)
    assert "| HSCL | - / 97.6 | - / 97.3 | - / 93.0 |" in text
    assert "- CIFAR-100: cifar100 is missing: no file" in text
    assert "No run has finished." in text
    assert b"cifar100 is missing" in html(table)


def test_the_page_escapes_and_shows_both_figures():
    plan = plan_of("table2", methods=("hscl",), change={"data": {"name": "digits"}})
    page = html(make_table(plan, finished(plan, [0.9])), ["figure.svg"]).decode()
    assert "<b>90.0</b>" in page
    assert "paper 97.9" in page
    assert "1 of 90 runs" in page
    assert '<img src="figure.svg"' in page
    assert "data.name=digits" in page


def test_scenario_3_shows_the_auroc_of_each_test_set(tmp_path):
    plan = make_plan(SCENARIOS["table4"], Request(tmp_path, methods=("hscl",)))
    cells = {cell.column.key: cell for cell in plan.cells if cell.row.title == "HSCL"}
    assert cells["svhn"].column.test == "svhn"


class Recorded:
    """A backend that leaves what finished runs leave, and fails the runs of some class."""

    def __init__(self, failing=None):
        self.failing, self.asked = failing, []

    def __call__(self, todo, left, *, finished, say):
        self.asked.append([files.run.folder for files in todo])
        failed = []
        for files in todo:
            if files.run.normal_class == self.failing:
                failed.append(files)
                continue
            files.directory.path.mkdir()
            (files.directory.path / MARKER).touch()
            files.directory.save_config(files.run.config)
            files.figures_file.write_text(json.dumps(figures(0.9)))
            finished(files)
        return failed


def test_finished_runs_are_not_repeated_and_a_failed_one_is_tried_again(tmp_path):
    plan = plan_of("table2", tmp_path, methods=("hscl",), classes=(0, 1), known=1)
    backend = Recorded(failing=1)
    assert [files.run.normal_class for files in run_plans([plan], backend, print)] == [1, 1, 1]
    assert "90.0 (1 of 90)" in (tmp_path / "table2/table.md").read_text()
    backend.failing = None
    other = plan_of("table1", tmp_path, methods=("hscl",), classes=(0, 1), known=1)
    assert run_plans([plan, other], backend, print) == []
    assert run_plans([plan, other], backend, print) == []
    assert [len(asked) for asked in backend.asked] == [6, 7]  # 3 again, and 4 of table 1 that table 2 does not have
    for name in ("table1", "table2"):
        assert "90.0 ± 0.0 (2 of 90)" in (tmp_path / name / "table.md").read_text()
        assert (tmp_path / name / "table.html").exists()
    assert len(read_figures(plan)) == 6
    assert not RunFiles(plan.runs[0], tmp_path / "runs").is_stale
