"""What holds for every method that trains in stages: it goes on bit for bit, can be saved, and has both modes."""

import numpy as np
import pytest
from comparators.comparing import NoProgress, digits, fitted, given, setting, some_of
from comparators.interrupting import GoOn, StopAt

from hscl_fast.comparators.registry import build_comparator
from hscl_fast.interrupt import Interrupted

# The step to stop at is in the last stage.
STOPS = {
    "goad": 7,
    "e3outlier": 7,
    "csi": 7,
    "elsa": 11,
    "elsa_plus": 11,
    "fixmatch": 3,
    "dividemix": 9,
    "aug_lnl": 9,
    "deep_svdd": 9,
    "deep_sad": 9,
    "loe": 9,
}
FEATURES = {
    "goad": 256,
    "e3outlier": 256,
    "csi": 128,
    "elsa": 128,
    "elsa_plus": 128,
    "fixmatch": 128,
    "dividemix": 1024,
    "aug_lnl": 1024,
    "deep_svdd": 64,
    "deep_sad": 64,
    "loe": 64,
    "ss_dgm": 64,
}


@pytest.mark.parametrize("name", STOPS)
def test_an_interrupted_fit_goes_on_bit_for_bit_and_a_loaded_one_scores_the_same(name):
    chosen, images = setting(total_steps=12, optim={"batch_size": 8}), digits().test.images[:10]
    expected = fitted(name, digits(), chosen).score(images)
    stopped = StopAt(STOPS[name])
    with pytest.raises(Interrupted):
        build_comparator(name, chosen).fit(given(digits()), stopped)
    resumed, rest = build_comparator(name, chosen), GoOn(stopped.kept)
    resumed.fit(given(digits()), rest)
    assert rest.reported[0][0] == STOPS[name] + 1
    np.testing.assert_array_equal(resumed.score(images), expected)

    state = {key: tensor.clone() for key, tensor in resumed.state().items()}
    loaded = build_comparator(name, chosen)
    loaded.load(state)
    np.testing.assert_array_equal(loaded.score(images), expected)
    np.testing.assert_array_equal(loaded.embed(images), resumed.embed(images))
    for missing in (next(iter(state)), [*state][-1]):
        with pytest.raises(ValueError, match=f"has no {missing}"):
            loaded.load({key: tensor for key, tensor in state.items() if key != missing})


@pytest.mark.parametrize("name", FEATURES)
def test_the_original_network_trains_and_scores(name):
    chosen = setting(mode="original", total_steps=1, optim={"batch_size": 2})
    comparator, images = build_comparator(name, chosen), digits().test.images[:3]
    comparator.fit(some_of(digits()), NoProgress())
    scores = comparator.score(images)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == 3
    features = comparator.embed(images)
    assert features.shape == (3, FEATURES[name])
    assert features.dtype == np.float32
