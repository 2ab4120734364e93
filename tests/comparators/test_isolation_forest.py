import numpy as np
import pytest
from comparators.comparing import auroc, digits, fitted, setting

from hscl_fast.comparators.registry import build_comparator


def test_isolation_forest_tells_digits_apart():
    assert auroc(fitted("isolation_forest", digits(), setting()), digits()) > 0.95


def test_a_loaded_forest_scores_the_same():
    forest = fitted("isolation_forest", digits(), setting())
    other = build_comparator("isolation_forest", setting())
    other.load(forest.state())
    images = digits().test.images[:50]
    np.testing.assert_array_equal(other.score(images), forest.score(images))


def test_a_state_without_rows_is_refused():
    with pytest.raises(ValueError, match="has no rows"):
        build_comparator("isolation_forest", setting()).load({})
