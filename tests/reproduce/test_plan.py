"""Which runs stand behind which cell."""

from dataclasses import replace
from pathlib import Path

import pytest

from hscl_fast.errors import UsageError
from hscl_fast.reproduce.budgets import BUDGETS
from hscl_fast.reproduce.plan import Request, make_plan
from hscl_fast.reproduce.scenarios import SCENARIOS

DIGITS = Request(Path("out"), stand_in="digits", methods=("hscl",))


def cells(name, request=DIGITS):
    return make_plan(SCENARIOS[name], request).cells


def test_the_full_table_1_has_90_runs_a_cell_and_the_released_one_10():
    elsa = cells("table1")
    assert [len(cell.runs) for cell in elsa] == [90, 90, 90]
    pairs = {(run.normal_class, run.config.data.known_abnormal_class) for run in elsa[0].runs}
    assert len(pairs) == 90
    assert not any(normal == known for normal, known in pairs)
    assert [cell.runs[0].config.data.labelled_ratio for cell in elsa] == [0.01, 0.05, 0.1]
    assert {cell.runs[0].config.data.pollution_ratio for cell in elsa} == {0.0}
    released = cells("table1", replace(DIGITS, splits=("released",)))
    assert [len(cell.runs) for cell in released] == [10, 10, 10]
    assert {run.config.data.protocol for cell in released for run in cell.runs} == {"released"}
    assert [cell.wanted for cell in (*elsa, *released)] == [90] * 3 + [10] * 3


def test_a_run_is_the_paper_s_recipe_with_the_cell_s_setting():
    run = cells("table2")[2].runs[0]
    config = run.config
    assert (config.data.name, config.data.labelled_ratio, config.data.pollution_ratio) == ("digits", 0.05, 0.1)
    assert (config.optim.epochs, config.optim.batch_size, config.model.width) == (250, 256, 64)
    assert (config.data.held_out_ratio, config.evaluate.scoring) == (0.0, "paper")


def test_equal_runs_of_two_tables_share_a_folder():
    assert cells("table1")[1].runs[0].folder == cells("table2")[0].runs[0].folder
    folders = [run.folder for cell in cells("table1") for run in cell.runs]
    assert len(set(folders)) == len(folders) == 270
    seeds = cells("table1", replace(DIGITS, seeds=2))
    assert len({run.folder for cell in seeds for run in cell.runs}) == 540
    assert {run.config.runtime.seed for cell in seeds for run in cell.runs} == {0, 1}


def test_a_budget_leaves_out_classes_and_what_is_asked_for_comes_before_it():
    short = replace(DIGITS, budget=BUDGETS["short"])
    found = cells("table1", short)[0].runs
    assert [(run.normal_class, run.known) for run in found] == [(0, 1), (3, 4), (5, 6)]
    assert found[0].config.optim.max_steps == 1000
    asked = cells("table1", replace(short, classes=(9,), known=2, change={"optim": {"max_steps": 7}}))[0].runs
    assert [(run.normal_class, run.known) for run in asked] == [(9, 0), (9, 1)]
    assert asked[0].config.optim.max_steps == 7


def test_every_ablation_changes_what_it_says():
    changes = {
        cell.row.title: cell.runs[0].config for cell in cells("table5", replace(DIGITS, budget=BUDGETS["short"]))
    }
    objectives = {title: config.objective for title, config in changes.items()}
    full = objectives["HSCL"]
    assert objectives["without S-S"] == replace(full, lambda_sample=0.0)
    assert objectives["without S-P"] == replace(full, lambda_prototype=0.0)
    assert objectives["without N-A"] == replace(full, lambda_abnormal=0.0)
    assert objectives["without positives in S-P"] == replace(full, prototype_parts="anomalies")
    assert objectives["without negatives in S-P"] == replace(full, prototype_parts="normals")
    assert {title: config.evaluate.scoring for title, config in changes.items() if title != "HSCL"} == {
        "without S-S": "paper",
        "without S-P": "knn",
        "without N-A": "paper",
        "without positives in S-P": "paper",
        "without negatives in S-P": "paper",
    }


def test_figure_4_sweeps_the_threshold_and_the_number_of_prototypes():
    left = [cell.runs[0].config.objective.weight_threshold for cell in cells("figure4-left")]
    assert left == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert [cell.runs[0].config.model.prototypes for cell in cells("figure4-right")] == [1, 2, 4, 8]


def test_scenario_3_labels_all_images_and_marks_the_overlapping_row(tmp_path):
    smoke = Request(tmp_path, budget=BUDGETS["smoke"], methods=("hscl",))
    found = [cell for cell in cells("table4", smoke) if cell.runs]
    configs = {cell.row.title: cell.runs[0].config for cell in found}
    assert {config.data.protocol for config in configs.values()} == {"labelled"}
    assert [config.data.name for config in configs.values()] == ["cifar10_imagenet", "cifar10_imagenet_overlap"]
    columns = [cell.column.test for cell in found if cell.row.title == "HSCL"]
    assert columns == ["imagenet_fix", "lsun_fix", "cifar100", "svhn"]
    assert len({run.folder for cell in found for run in cell.runs}) == 2


def test_the_smoke_budget_runs_every_row_and_every_kind_of_column(tmp_path):
    smoke = Request(tmp_path, budget=BUDGETS["smoke"])
    for name, scenario in SCENARIOS.items():
        plan = make_plan(scenario, smoke)
        empty = {cell.row.title for cell in plan.cells if cell.missing}
        run = {cell.row.title for cell in plan.cells if cell.runs}
        assert run == {row.title for row in scenario.rows} - empty
        hscl = [cell for cell in plan.cells if cell.row is scenario.rows[0] and cell.runs]
        kinds = {(cell.column.data, cell.column.test) for cell in hscl}
        assert kinds == {(column.data, column.test) for column in scenario.columns}, name
        assert all(len(cell.runs) == 1 for cell in plan.cells if cell.runs)
    table = make_plan(SCENARIOS["table3"], replace(smoke, stand_in="digits", methods=("hscl", "csi")))
    assert {cell.row.method for cell in table.cells if cell.runs} == {"hscl", "csi"}


def test_a_missing_data_set_is_said_and_the_others_are_planned(tmp_path):
    plan = make_plan(SCENARIOS["table3"], Request(tmp_path, root=str(tmp_path), methods=("hscl",)))
    assert not plan.runs
    assert "cifar-100-python" in plan.cells[2].missing


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (replace(DIGITS, methods=("hcsl",)), r"--methods has 'hcsl', .*Did you mean hscl"),
        (replace(DIGITS, classes=(10,)), r"--classes has 10, but digits has the classes 0 to 9"),
        (replace(DIGITS, change={"optim": {"steps": 1}}), r"unknown key optim\.steps"),
    ],
)
def test_what_cannot_be_run_is_refused(request_, said):
    with pytest.raises(UsageError, match=said):
        cells("table1", request_)
