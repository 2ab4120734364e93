from hscl_fast.comparators.registry import COMPARATORS
from hscl_fast.config.methods import HSCL, METHODS


def test_every_method_but_hscl_is_a_comparator():
    """``--method`` knows the names without importing a comparator, so there are two lists of them."""
    assert (HSCL, *COMPARATORS) == METHODS
