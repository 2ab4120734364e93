"""The report is complete, is one file, and can be written when parts of a run are missing."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.recipes import RECIPES, load_recipe
from hscl_fast.config.recipes.closest import closest_recipe
from hscl_fast.data.originals import Originals
from hscl_fast.data.types import Decoding
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.registry import DETECTORS
from hscl_fast.evaluation.decisions import decide
from hscl_fast.evaluation.metrics import Aupr
from hscl_fast.evaluation.report.galleries import MOST
from hscl_fast.evaluation.report.heat import Heat
from hscl_fast.evaluation.report.operating_points import MOST as MOST_POINTS
from hscl_fast.evaluation.report.operating_points import operating_points
from hscl_fast.evaluation.report.page import render_report
from hscl_fast.evaluation.report.rendering import duration
from hscl_fast.evaluation.report.scored import RankedImages
from hscl_fast.evaluation.report.verdict import statements
from hscl_fast.evaluation.suspects import Suspect, Suspects
from tests.evaluation.pages import NASTY, Structure, arguments, baseline, history, render

NO_FIGURES = {"auroc": None, "auroc_interval": None, "auroc_mean": None, "aupr": Aupr(None, None), "fpr95": None}


def _png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def scores_shown(html: str, heading: str) -> list[str]:
    section = html.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]
    return re.findall(r"<div><b>(\S+)</b>", section)


def test_everything_is_there() -> None:
    html = render(**arguments())
    for text in ("91.2 %", "90.5 %", "25.0 %", "80.0 %", "70.0 %", "1.2 min", "1,234", "higher is more anomalous"):
        assert text in html
    for text in ("labelled normal", "unknown", "Isolation forest", "Losses", "ROC curve", "Precision-recall curve"):
        assert text in html
    for text in ("40 of 400", "26 November 2026, 21:00 UTC", "CPU, 2 threads", "shrunk 50-fold", "1,600 x 1,200 px"):
        assert text in html
    assert html.count('<svg class="strip"') == 3


def test_the_top_row_has_what_is_decided_by() -> None:
    html = render(**arguments(2, 2, scores=np.array([-1.0, 1.0, -2.0, 2.0]), threshold=0.5))
    row = re.findall(r'<div class="card"><span>([^<]+)</span><b>([^<]+)</b>', html)
    assert row == [("Recall", "50.0 %"), ("False alarms", "50.0 %"), ("Threshold", "0.5"), ("AUROC, pooled", "91.2 %")]


def test_detectors_are_listed_best_first_with_what_they_see() -> None:
    aurocs = {name: 0.9 + i / 100 for i, name in enumerate(DETECTORS)}
    html = render(**arguments(baselines={name: baseline(auroc) for name, auroc in aurocs.items()}))
    rows = re.findall(r'<th scope="row">([^<]+)</th>\n<td data-label="On" class="on">([^<]*)<', html)
    listed = [DETECTORS[name].title for name in sorted(aurocs, key=lambda name: -aurocs[name])]
    listed.insert(-2, "hscl-fast (this run)")  # 0.912
    assert [title for title, _ in rows] == listed
    assert rows[0] == ("Logistic regression", "encoder features")
    assert ("Logistic regression", "pixels") in rows
    assert "Best: Logistic regression on encoder features, 4.8 points of pooled AUROC above this run." in html


def test_names_titles_and_values_are_escaped() -> None:
    names = [f"{NASTY}/{NASTY}{i}.png" for i in range(42)]
    nasty = {"data": NASTY, "normal_class": NASTY, "threshold_source": NASTY, "name": NASTY}
    baselines = {"features_knn": Baseline(0.5, 0.5, 1.0, NASTY, NASTY)}
    html = render(**arguments(config={NASTY: {NASTY: NASTY}}, names=names, baselines=baselines, **nasty))
    assert NASTY not in html
    assert "&lt;script&gt;" in html
    assert "$é_{ &amp; 六" in html


def test_hostile_files_are_shown_and_linked(tmp_path: Path) -> None:
    names = ['"><script>alert(1)<x.png', "new\nline.png", "=cmd.png", "caf\udce9.png"]
    for name in names:
        (tmp_path / name.replace("/", "_")).write_bytes(_png(400, 200))
    given = arguments(2, 2, scores=np.array([2.0, 2.0, -2.0, -2.0]), names=names, threshold=0.0)
    given["scored"] = replace(given["scored"], originals=Originals(tmp_path, Decoding(8)))
    html = render(**given)
    links = [attributes["href"] or "" for attributes in Structure(html).all("a")]
    assert sorted(links) == sorted((tmp_path / name).as_uri() for name in names)
    assert "caf?.png" in html
    shown = re.search(r'src="data:image/webp;base64,([^"]+)"', html)
    assert shown is not None
    with Image.open(io.BytesIO(base64.b64decode(shown[1]))) as picture:
        assert picture.size == (256, 128)  # of the original, not of the 8 pixels that the network sees


def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    given = arguments(1, 1, scores=np.array([2.0, 2.0]), threshold=0.0)
    given["scored"] = replace(given["scored"], originals=Originals(tmp_path, Decoding(8)))
    html = render(**given)
    assert "can no longer be read" in html
    assert not Structure(html).all("a")


@pytest.mark.parametrize(("normals", "anomalies"), [(0, 0), (5, 0), (0, 5), (1, 1)])
def test_small_and_one_sided_test_sets(normals: int, anomalies: int) -> None:
    html = render(**arguments(normals, anomalies, baselines={}, **NO_FIGURES))
    assert ("Scores of the test images" in html) == (normals + anomalies > 0)
    assert ('alt="ROC curve' in html) == (normals > 0 and anomalies > 0)
    assert "Not measured" in html
    top = html.partition("higher is more anomalous")[0].partition("<body>")[2]
    assert "—" not in top
    assert ("Recall" in top, "False alarms" in top) == (anomalies > 0, normals > 0)


@pytest.mark.parametrize("missing", [{"views_per_second": None}, {"auroc_interval": None}, {"baselines": {}}])
def test_figures_may_be_missing(missing: dict[str, Any]) -> None:
    html = render(**arguments(**missing))
    assert ("Views per second" in html) == ("views_per_second" not in missing)
    assert ("Against simple detectors" in html) == ("baselines" not in missing)


@pytest.mark.parametrize(
    "rows",
    [
        history(1),
        history(120),
        history(3, nt_xent=1.0, convex=0.5, rotation=1.4),
        [{"step": 1, "epoch": 0.0, "total": None}, {"step": 2, "epoch": 0.1, "total": float("inf")}, *history(1)],
    ],
)
def test_histories_of_any_length_and_objective(rows: list[dict[str, Any]]) -> None:
    assert "No training history." not in render(**arguments(history=rows))


def test_an_empty_history() -> None:
    assert "No training history." in render(**arguments(history=[]))


def test_skipped_updates_are_reported() -> None:
    rows = [*history(2), *history(1, skipped_updates=7)]
    assert "7 updates skipped" in render(**arguments(history=rows))


def test_equal_scores_and_a_threshold_among_them() -> None:
    render(**arguments(scores=np.zeros(42, np.float32), threshold=0.0))


def test_galleries_have_the_mistakes_worst_first() -> None:
    scores = np.array([5.0, -3.0, 7.0, 0.5, 2.0, -1.0, -4.0])
    html = render(**arguments(3, 4, scores=scores, threshold=1.0))
    assert scores_shown(html, "Worst missed anomalies") == ["-4", "-1", "0.5"]
    assert scores_shown(html, "Worst false alarms") == ["7", "5"]


def test_a_faultless_run_has_no_mistakes_to_show() -> None:
    html = render(**arguments(2, 2, scores=np.array([0.0, 0.0, 2.0, 2.0]), threshold=1.0))
    assert "every anomaly among the test images is flagged" in html
    assert "every normal test image is accepted" in html


def test_the_page_stays_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 256, 256, 3), np.uint8)  # the worst that there is
    scores = np.where(np.arange(200) < 100, 2.0, -2.0)
    page = render(**arguments(100, 100, test_images=noise, scores=scores, threshold=0.0))
    assert page.count('<li class="tile">') == 2 * MOST
    assert len(page) < 8_000_000


def ranking(names: list[str], *, known: bool) -> Suspects:
    rows = [(name, 5.0 - place, 3.0 - place) for place, name in enumerate(names)]
    truths = [place == 0 if known else None for place in range(len(names))]
    images = [Suspect(i + 1, *row, 0.5, 0.1, truth) for i, (row, truth) in enumerate(zip(rows, truths, strict=True))]
    return Suspects("knn, learned without the image", tuple(images))


@pytest.mark.parametrize("known", [True, False])
def test_suspects_are_shown_in_their_order_with_heat_maps(known: bool) -> None:
    given = arguments(0, 0, baselines={}, **NO_FIGURES)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    seen: list[np.ndarray] = []

    def maps(shown: np.ndarray) -> np.ndarray:
        seen.append(shown)
        return np.ones((len(shown), 8, 8), np.float32)

    suspects = ranking(["c.png", "a.png", "d.png"], known=known)
    ranked = RankedImages(suspects, images, ["a.png", "b.png", "c.png", "d.png"])
    summary = replace(given["summary"], suspects=suspects.figures)
    html = render(**{**given, "summary": summary}, ranked=ranked, heat=Heat("gradient", maps))
    assert scores_shown(html, "Most suspicious unlabelled images") == ["3", "2", "1"]
    assert [image.tolist() for image in seen[0]] == [images[row].tolist() for row in (2, 0, 3)]
    assert html.count('class="heat"') == html.count('tabindex="0"') == 3
    assert ("hidden anomaly" in html, "The truth is known here" in html) == (known, known)
    assert "Histogram of the anomaly scores of the unlabelled training images" in html


def test_equal_runs_give_equal_bytes() -> None:
    assert render_report(**arguments()) == render_report(**arguments())


def test_scores_that_are_not_numbers_are_refused() -> None:
    given = arguments()
    broken = {**given, "scored": replace(given["scored"], anomaly_scores=np.full(42, np.nan))}
    with pytest.raises(UsageError, match="42 of 42 scores are not finite"):
        render_report(**broken)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (0.04, "0.0 s"), (59.9, "59.9 s"), (90, "1.5 min"), (3600, "1 h 0 min"), (5430, "1 h 30 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("figures", "answers"),
    [
        ({}, [("Yes", "good"), ("Cannot be told", "unsure")]),  # of the difference there is no interval
        ({"baselines": {"features_knn": baseline(0.8, deviation=0.01)}}, [("Yes", "good"), ("Yes", "good")]),
        ({"baselines": {"features_knn": baseline(0.95, deviation=0.01)}}, [("Yes", "good"), ("No", "bad")]),
        (
            {"baselines": {"features_knn": baseline(0.91, deviation=0.01)}},
            [("Yes", "good"), ("Cannot be told", "unsure")],
        ),
        (
            {"auroc": 0.52, "auroc_interval": (0.41, 0.63), "baselines": {}},
            [("Not shown", "bad"), ("Not compared", "unsure")],
        ),
        ({"auroc": 0.2, "auroc_interval": (0.1, 0.3), "baselines": {}}, [("Worse", "bad"), ("Not compared", "unsure")]),
        ({"auroc_interval": None, "baselines": {}}, [("Cannot be told", "unsure"), ("Not compared", "unsure")]),
        (NO_FIGURES, [("Not measured", "unsure")]),
    ],
)
def test_the_verdict_follows_the_intervals(figures: dict[str, Any], answers: list[tuple[str, str]]) -> None:
    found = statements(arguments(**figures)["summary"])
    assert [(each.answer, each.mood) for each in found] == answers


def test_an_auroc_no_better_than_chance_is_called_so() -> None:
    html = render(**arguments(auroc=0.52, auroc_interval=(0.41, 0.63)))
    assert "no better than chance: the 95 % interval of the AUROC is 41 to 63 %" in html
    assert "no better than chance" not in render(**arguments())


@pytest.mark.parametrize("images", [5, 3000])
def test_operating_points_are_those_of_the_decisions(images: int) -> None:
    rng = np.random.default_rng(1)
    abnormal = np.arange(images) % 3 == 0
    scores = (rng.normal(size=images) + abnormal).round(2)
    found = operating_points(scores, abnormal, 0.25)
    assert len(found.thresholds) <= MOST_POINTS + 3
    assert found.thresholds[found.current] == 0.25
    for place in range(0, len(found.thresholds), 7):
        exact = decide(scores, abnormal, found.thresholds[place])
        assert found.flagged_abnormal[place] == exact.true_positives
        assert found.flagged_normal[place] == exact.false_positives
    assert (found.flagged_abnormal[0], found.flagged_normal[0]) == (found.abnormal, found.normal)
    assert (found.flagged_abnormal[-1], found.flagged_normal[-1]) == (0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_does_not_differ_from_itself(recipe: str) -> None:
    assert closest_recipe(to_dict(load_recipe(recipe)))[1] == []


def test_the_configuration_names_what_differs_from_the_recipe() -> None:
    html = render(**arguments(config=to_dict(load_recipe("cpu", optim={"max_steps": 41}))))
    assert "As the recipe <code>cpu</code>, but:" in html
    rows = re.findall(r"<code>--(\S+)</code></th><td[^>]*><code>(\S+)</code></td><td[^>]*><code>(\S+)</code>", html)
    assert rows == [("optim.max_steps", "41", "4000")]
