"""Plots are pictures, on no ground of their own, with a colour for every run."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from hscl_fast.evaluation.report.curves import Detected, plain_text, precision_recall, roc
from hscl_fast.evaluation.report.histograms import Side, histogram
from hscl_fast.evaluation.report.training_curves import training_curves
from tests.evaluation.pages import NASTY, history

pytestmark = pytest.mark.usefixtures("with_pixels")


def opened(uri: str | None) -> np.ndarray:
    assert uri is not None
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as picture:
        return np.asarray(picture.convert("RGBA"))


def detected(name: str, seed: int) -> Detected:
    rng = np.random.default_rng(seed)
    abnormal = np.arange(200) % 2 == 0
    return Detected(name, rng.normal(size=200) + abnormal, abnormal, 0.5)


def test_each_run_adds_a_curve() -> None:
    for plot in (roc, precision_recall):
        one, two = opened(plot([detected(NASTY, 0)])), opened(plot([detected(NASTY, 0), detected("other", 1)]))
        assert one[0, 0, 3] == 0  # transparent
        assert one[..., 3].max() == 255
        orange = [(drawn[..., 0] > 200) & (drawn[..., 2] < 60) & (drawn[..., 3] > 200) for drawn in (one, two)]
        assert orange[0].sum() == 0
        assert orange[1].sum() > 100


def test_a_histogram_of_values_that_are_all_alike() -> None:
    assert opened(histogram([Side("unlabelled", np.zeros(9), "#2563eb")], 0.0))[..., 3].max() == 255
    assert histogram([Side("unlabelled", np.zeros(0), "#2563eb")], 0.0) is None


def test_training_curves_of_several_runs() -> None:
    assert opened(training_curves({"a": history(80), "$b": history(3, rotation=1.0), "c": []})).size
    assert training_curves({"a": []}) is None


def test_names_are_drawn_letter_by_letter() -> None:
    assert plain_text("_a$\n") == r"a\$?"
    assert len(plain_text("x" * 999)) < 50
