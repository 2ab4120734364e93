"""The report is complete, is one file, and can be written when parts of a run are missing."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config
from hscl_fast.data.split.split import Counts
from hscl_fast.data.types import TestImages
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.registry import DETECTORS
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.evaluation.metrics import Aupr
from hscl_fast.evaluation.report.page import ScoredImages, duration, render_report
from hscl_fast.evaluation.summary import Summary
from hscl_fast.evaluation.threshold import decide

NASTY = '<script>alert("x")</script> $é_{ & 六'
VOID = {"meta", "img", "br", "path", "line"}


class Structure(HTMLParser):
    """Collect tags and sources, and check that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def history(steps: int, **extra: float) -> list[dict[str, Any]]:
    row = {"total": 3.0, "sample_to_sample": 2.0, "learning_rate": 1e-3, "skipped_updates": 0, **extra}
    return [{"step": 5 * (i + 1), "epoch": i / 3, **row} for i in range(steps)]


def summarise(scores: np.ndarray, abnormal: np.ndarray, threshold: float, **changes: Any) -> Summary:
    given = Summary(
        data="boards",
        normal_class="zero",
        checkpoint="last",
        step=40,
        scoring="paper",
        scoring_source="as configured",
        candidates=[],
        score_direction=SCORE_DIRECTION,
        auroc=0.912,
        auroc_interval=(0.881, 0.943),
        auroc_mean=0.905,
        auroc_per_class={"one": 0.9},
        aupr=Aupr(0.8, 0.7),
        fpr95=0.25,
        threshold=threshold,
        threshold_source="2 held-out labelled images",
        decisions=decide(scores, abnormal, threshold),
        held_out_auroc_best=None,
        train_seconds=75.0,
        views_per_second=1234.0,
        score_images_per_second=None,
        counts=Counts(3, 20, 3, 0, 0, 12, 30, pollution=None),
        baselines={"isolation_forest": baseline(0.95), "logistic_regression": baseline(None)},
    )
    return replace(given, **changes)


def arguments(normals: int = 12, anomalies: int = 30, **changes: Any) -> dict[str, Any]:
    """What render_report takes; changes are those of the summary, of the images or of the rest."""
    rng = np.random.default_rng(0)
    m = normals + anomalies
    abnormal = np.arange(m) >= normals
    scores = changes.pop("scores", rng.normal(size=m) + abnormal)
    images = TestImages(
        changes.pop("test_images", rng.integers(0, 256, (m, 8, 8, 3), np.uint8)),
        abnormal,
        np.where(abnormal, 1 + np.arange(m) % 2, 0),
        tuple(changes.pop("names", [f"test/{i}.png" for i in range(m)])),
    )
    rest = {name: changes.pop(name) for name in ("config", "history") if name in changes}
    summary = summarise(scores, abnormal, changes.pop("threshold", 0.25), **changes)
    scored = ScoredImages(images, ["zero", "one", NASTY], scores)
    return {"summary": summary, "scored": scored, "config": to_dict(Config()), "history": history(8), **rest}


def baseline(auroc: float | None, note: str = "grey") -> Baseline:
    return Baseline(auroc, auroc, 1.0, "9 images", note)


def render(tmp_path: Path, **given: Any) -> str:
    path = tmp_path / "report.html"
    path.write_bytes(render_report(**given))
    html = path.read_text(encoding="utf-8")
    structure = Structure(html)
    assert "script" not in structure.tags
    assert all(source.startswith("data:image/png;base64,") for source in structure.sources)
    assert "://" not in html
    assert "url(" not in html
    assert not re.search(r"@import|<link|\bnan\b", html)
    return html


def test_everything_is_there_and_embedded(tmp_path: Path) -> None:
    html = render(tmp_path, **arguments())
    for text in ("91.2 %", "90.5 %", "25.0 %", "80.0 %", "70.0 %", "1.2 min", "1,234", "higher is more anomalous"):
        assert text in html
    for text in ("labelled normal", "unknown", "Isolation forest", "Losses", "ROC curve", "lambda_prototype"):
        assert text in html
    assert html.count('<figure class="tile') == 2 * 24
    assert html.count('<svg class="strip"') == 3


def test_detectors_are_listed_best_first_with_what_they_see(tmp_path: Path) -> None:
    aurocs = {name: 0.9 + i / 100 for i, name in enumerate(DETECTORS)}
    html = render(tmp_path, **arguments(baselines={name: baseline(auroc) for name, auroc in aurocs.items()}))
    rows = re.findall(r"<tr[^>]*>\n<td class=\"title\">([^<]+)</td>\n<td>(?:<span class=\"tag\">)?([^<]*)", html)[
        : 1 + len(aurocs)
    ]
    listed = [DETECTORS[name].title for name in sorted(aurocs, key=lambda name: -aurocs[name])]
    listed.insert(-2, "hscl-fast (this run)")  # 0.912
    assert [title for title, _ in rows] == listed
    assert rows[0] == ("Logistic regression", "encoder features")
    assert ("Logistic regression", "pixels") in rows
    assert "Best: Logistic regression on encoder features, 4.8 points of pooled AUROC above this run." in html


def test_names_titles_and_values_are_escaped(tmp_path: Path) -> None:
    names = [f"{NASTY}/{NASTY}{i}.png" for i in range(42)]
    nasty = {"data": NASTY, "normal_class": NASTY, "threshold_source": NASTY}
    baselines = {"features_knn": Baseline(0.5, 0.5, 1.0, NASTY, NASTY)}
    html = render(tmp_path, **arguments(config={NASTY: {NASTY: NASTY}}, names=names, baselines=baselines, **nasty))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "$é_{ &amp; 六" in html


def test_file_names_that_are_not_utf8_do_not_stop_it(tmp_path: Path) -> None:
    assert "caf?.png" in render(tmp_path, **arguments(names=["caf\udce9.png"] * 42))


@pytest.mark.parametrize(("normals", "anomalies"), [(0, 0), (5, 0), (0, 5), (1, 1)])
def test_small_and_one_sided_test_sets(tmp_path: Path, normals: int, anomalies: int) -> None:
    figures = {"auroc": None, "auroc_mean": None, "aupr": Aupr(None, None), "fpr95": None, "baselines": {}}
    html = render(tmp_path, **arguments(normals, anomalies, **figures))
    assert ("No test images." in html) == (normals + anomalies == 0)
    assert ('alt="ROC curve"' in html) == (normals > 0 and anomalies > 0)
    assert "No comparison" in html


@pytest.mark.parametrize("missing", [{"views_per_second": None}, {"auroc": None}, {"baselines": {}}])
def test_figures_may_be_missing(tmp_path: Path, missing: dict[str, Any]) -> None:
    html = render(tmp_path, **arguments(**missing))
    assert ("No comparison" in html) == ("views_per_second" not in missing)


@pytest.mark.parametrize(
    "rows",
    [
        history(1),
        history(120),
        history(3, nt_xent=1.0, convex=0.5, rotation=1.4),
        [{"step": 1, "epoch": 0.0, "total": None}, {"step": 2, "epoch": 0.1, "total": float("inf")}, *history(1)],
    ],
)
def test_histories_of_any_length_and_objective(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert "No training history." not in render(tmp_path, **arguments(history=rows))


def test_an_empty_history(tmp_path: Path) -> None:
    assert "No training history." in render(tmp_path, **arguments(history=[]))


def test_skipped_updates_are_reported(tmp_path: Path) -> None:
    rows = [*history(2), *history(1, skipped_updates=7)]
    assert "7 updates skipped" in render(tmp_path, **arguments(history=rows))


def test_equal_scores_and_a_threshold_among_them(tmp_path: Path) -> None:
    render(tmp_path, **arguments(scores=np.zeros(42, np.float32), threshold=0.0))


def test_mistakes_are_marked_by_kind(tmp_path: Path) -> None:
    given = arguments(2, 2, scores=np.array([-1.0, 1.0, -2.0, 2.0]), threshold=0.0)
    html = render(tmp_path, **given)
    # One of each, in both galleries.
    assert html.count("✗ false alarm") == html.count("✗ missed anomaly") == 2


def test_galleries_are_in_order(tmp_path: Path) -> None:
    scores = np.array([5.0, -3.0, 0.5, 2.0])
    html = render(tmp_path, **arguments(2, 2, scores=scores, threshold=0.0))
    shown = re.findall(r"<figcaption><b>(\S+)</b>", html)
    assert shown == ["5", "2", "0.5", "-3", "0.5", "2", "-3", "5"]


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 300, 600, 3), np.uint8)
    assert len(render(tmp_path, **arguments(2, 2, test_images=images))) < 1_000_000


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    assert render(tmp_path, **arguments()) == render(tmp_path, **arguments())


def test_scores_that_are_not_numbers_are_refused() -> None:
    given = arguments()
    broken = {**given, "scored": replace(given["scored"], anomaly_scores=np.full(42, np.nan))}
    with pytest.raises(ValueError, match="NaN"):
        render_report(**broken)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "—"), (0.04, "0.0 s"), (59.9, "59.9 s"), (90, "1.5 min"), (3600, "1 h 0 min"), (5430, "1 h 30 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_an_auroc_no_better_than_chance_is_called_so(tmp_path: Path) -> None:
    html = render(tmp_path, **arguments(auroc=0.52, auroc_interval=(0.41, 0.63)))
    assert "no better than chance: the 95 % interval of the AUROC is 41 to 63 %" in html
    assert "95 % interval 41.0 to 63.0 %" in html
    assert "no better than chance" not in render(tmp_path, **arguments())
