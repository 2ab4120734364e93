"""The page and its plot, which are made from the results alone."""

import pytest
from accuracy_records import peer, record, results

from benchmarks.accuracy.page import EMPTY, updated_page, write_page
from benchmarks.accuracy.plot import accuracy_svg


def rows_of(page, head):
    """The cells of the table below a line that begins with ``head``."""
    lines = page.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head))
    first = next(number for number in range(start, len(lines)) if lines[number].startswith("| ---")) + 1
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_a_row_has_mean_interval_cost_and_lead():
    runs = [record(auroc=0.8, seed=0), record(auroc=0.9, seed=1, peers={"isolation_forest": peer(0.95, 1.5)})]
    page = updated_page(EMPTY, results(runs, ["cpu"]))
    ours, forest = rows_of(page, "**digits")
    # Half the interval of 80 and 90 is 12.706 x 5; the leads are +5 and -5.
    assert ours == ["cpu", "85.0 ± 63.5 (2)", "84.0", "+0.0 ± 63.5 (2)", "10.0", "20.0", "25.0", "256", "0.003"]
    assert forest == ["*isolation forest*", "85.0 ± 127.1 (2)", "85.0", "", "", "1.00", "", "", ""]
    assert "2 runs on a CPU, 1 thread; load average up to 2; torch 2.14.1; commit 012345678; 2026-11-26." in page


def test_tuning_classes_stand_apart_from_the_others():
    runs = [record(data="cifar10", normal_class=normal) for normal in (0, 1, 3)]
    page = updated_page(EMPTY, results(runs, ["cpu"]))
    assert "**cifar10, tuning classes: gamma_l 0.05, gamma_p 0.1**; normal classes 0, 3" in page
    assert "**cifar10, other classes: gamma_l 0.05, gamma_p 0.1**; normal classes 1" in page


def pairs(data, count, gain):
    """Runs of both trials on ``count`` seeds, whose differences are ``gain`` points and some noise."""
    for seed in range(count):
        level = 0.5 + 0.05 * seed
        yield record(data=data, seed=seed, auroc=level)
        yield record("other", data=data, seed=seed, auroc=level + (gain + 0.1 * (seed % 2)) / 100)


@pytest.mark.parametrize(("counts", "enough"), [((5, 5), "yes"), ((5, 4), "no"), ((9, 0), "no")])
def test_differences_are_paired_and_say_whether_they_suffice(counts, enough):
    runs = [*pairs("digits", counts[0], 2.0), *pairs("mine", counts[1], -3.0)]
    runs += [record("other", seed=99, auroc=0.01)]  # without a pair
    ((trial, _, *points, verdict),) = rows_of(updated_page(EMPTY, results(runs)), "**Points against cpu")
    assert trial == "other"
    assert points[0].startswith("**+2.0 ± 0.")
    assert points[0].endswith(f"** ({counts[0]})")
    assert len(points) == (2 if counts[1] else 1)
    assert verdict == enough


def test_the_same_pair_at_two_pollution_ratios_is_one_pair():
    runs = [run | {"pollution_ratio": ratio} for ratio in (0.0, 0.1) for run in pairs("digits", 3, 1.0)]
    runs += [*pairs("mine", 5, 1.0)]
    assert rows_of(updated_page(EMPTY, results(runs)), "**Points against cpu")[0][-1] == "no"


def test_pollution_is_paired_with_none():
    runs = [
        *(record(seed=seed, auroc=0.9 + 0.01 * seed, pollution_ratio=0.0) for seed in range(3)),
        *(record(seed=seed, auroc=0.88 + 0.01 * seed) for seed in range(3)),
    ]
    ((trial, _, points),) = rows_of(updated_page(EMPTY, results(runs, ["cpu"])), "**What pollution costs")
    assert trial == "cpu"
    assert points.startswith("**-2.0 ± 0.0** (3)")


def test_what_a_trial_changes_is_said():
    runs = [record(), record("other", change={"optim": {"learning_rate": 0.003}})]
    assert rows_of(updated_page(EMPTY, results(runs)), "**Points")[0][1] == "`optim.learning_rate 0.003`"


def test_a_run_without_an_auroc_or_peers_and_with_unknown_figures_is_no_error():
    runs = [
        record(data="mine", normal_class=None, auroc_mean=None, auroc=0.7, peers={}, news={"a": [1]}),
        record("other", data="mine", normal_class=None, auroc_mean=None, auroc=None),
    ]
    page = updated_page(EMPTY, results(runs))
    assert rows_of(page, "**mine")[0][:4] == ["cpu", "69.0 (1)", "69.0", ""]
    accuracy_svg(results(runs))
    assert "**mine**\n" in page  # which has no classes and no ratios


def test_text_around_the_markers_stays(tmp_path):
    path = tmp_path / "accuracy.md"
    path.write_text(f"before\n{EMPTY}after\n")
    for auroc in (0.8, 0.7):
        write_page(path, results([record(auroc=auroc)], ["cpu"]))
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "70.0 (1)" in text
    assert "80.0 (1)" not in text
    assert (tmp_path / "images/accuracy.svg").stat().st_size < 200_000


def test_equal_results_give_equal_plots():
    some = results([record(), record("other", total_seconds=300.0, auroc=0.9)])
    assert accuracy_svg(some) == accuracy_svg(some)
