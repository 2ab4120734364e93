"""scikit-learn's own checks of an estimator. They know only tables of numbers, so a table stands for images."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from hscl_fast import HSCLDetector

SIDE = 8  # pixels


class TableDetector(HSCLDetector):
    """Draws each row of a table as a grey image; everything else is inherited.

    It adds what the checks expect for tables and images do not have: a fixed number of features, and labels that are
    not looked at, since those of the checks are classes.
    """

    def fit(self, X, y=None):
        return super().fit(images_of(validate_data(self, X, ensure_min_samples=2)))

    def score_samples(self, X):
        check_is_fitted(self)
        return super().score_samples(images_of(validate_data(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = False
        tags.input_tags.string = False
        return tags


def images_of(table):
    """One image uint8 [8, 8] for each row: its numbers, squeezed into the range of a pixel, over and over."""
    pixels = 127.5 * (1 + np.tanh(np.asarray(table, np.float64) / 4))
    return np.stack([np.resize(row, (SIDE, SIDE)) for row in pixels]).astype(np.uint8)


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The checks train a hundred times, and nobody reads the reports of that."""
    monkeypatch.setattr("hscl_fast.runs.write_results.render_report", lambda *_, **__: b"")


SMALL = TableDetector("minute", max_steps=1, batch_size=16, embedding_dim=8, device="cpu", threads=1)


@pytest.mark.slow
@parametrize_with_checks([SMALL])
def test_of_a_table(estimator, check):
    check(estimator)


def test_of_images():
    """Of an estimator that takes no tables, scikit-learn checks the parameters and the tags only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        checks = [(estimator, check) for estimator, check in estimator_checks_generator(HSCLDetector())]
    assert checks
    for estimator, check in checks:
        check(estimator)
