"""Shared by the tests of pages: a made-up evaluation, and a look at the structure of a page."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config
from hscl_fast.data.split.split import Counts
from hscl_fast.data.types import TestImages
from hscl_fast.evaluation.about import About
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.evaluation.decisions import decide
from hscl_fast.evaluation.metrics import Aupr
from hscl_fast.evaluation.report.page import render_report
from hscl_fast.evaluation.report.scored import ScoredImages
from hscl_fast.evaluation.summary import Summary

NASTY = '<script>alert("x")</script> $é_{ & 六'
VOID = {"meta", "img", "br", "path", "line", "input"}


class Structure(HTMLParser):
    """Collect the elements with their attributes, and check that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def checked(page: bytes) -> str:
    """Return a page that is whole, loads nothing, has no script but its own, and can be read without eyes."""
    html = page.decode("utf-8")
    structure = Structure(html)
    scripts = structure.all("script")
    assert {str(attributes.get("type")) for attributes in scripts} <= {"None", "application/json"}
    assert sum("type" not in attributes for attributes in scripts) == 1
    for name, attributes in structure.elements:
        assert not [key for key in attributes if key.startswith("on")]
        assert name not in ("link", "iframe", "object", "embed", "base", "form")
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert (attributes.get("href") or "file:///").startswith("file:///")
    assert "://" not in re.sub("file:///", "", html)
    words = re.sub('data:image/[^"]+', "", html)
    assert not re.search(r"url\(|@import|\bNaN\b|\bnan\b|\binf\b", words)
    assert all(attributes.get("alt") for attributes in structure.all("img"))
    levels = [int(name[1]) for name, _ in structure.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    return html


def history(steps: int, **extra: float) -> list[dict[str, Any]]:
    row = {"total": 3.0, "sample_to_sample": 2.0, "learning_rate": 1e-3, "skipped_updates": 0, **extra}
    return [{"step": 5 * (i + 1), "epoch": i / 3, **row} for i in range(steps)]


def baseline(auroc: float | None, note: str = "grey", deviation: float | None = None) -> Baseline:
    return Baseline(auroc, auroc, 1.0, "9 images", note, deviation)


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
        counts=Counts(3, 20, 3, 0, 0, int((~abnormal).sum()), int(abnormal.sum()), pollution=None),
        baselines={"isolation_forest": baseline(0.95), "logistic_regression": baseline(None)},
        about=About("2026-11-26T21:00:00+00:00", 400, "CPU, 2 threads", 32, (1600, 1200)),
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
    originals = changes.pop("originals", None)
    given = {"name": "mine", "config": to_dict(Config()), "history": history(8)}
    rest = {name: changes.pop(name, value) for name, value in given.items()}
    summary = summarise(scores, abnormal, changes.pop("threshold", 0.25), **changes)
    return {"summary": summary, "scored": ScoredImages(images, ["zero", "one", NASTY], scores, originals), **rest}


def render(**given: Any) -> str:
    return checked(render_report(**given))
