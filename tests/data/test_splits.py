"""The roles of both protocols, their counts, and that no hidden label leaks into training."""

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.registry import load_source
from hscl_fast.data.open import assemble, load_split
from hscl_fast.data.split.protocols import (
    Assignment,
    assign_roles,
    choose_classes,
    elsa_counts,
    hold_out,
    released_counts,
)
from hscl_fast.data.split.record import build_record
from hscl_fast.data.types import LabelledImages, Source, TrainingImages
from hscl_fast.errors import UsageError

KNOWN_ANSWERS = {
    (0.01, 0.0): (50, 4949, 0, 50),
    (0.01, 0.05): (53, 4946, 260, 53),
    (0.01, 0.10): (56, 4943, 549, 56),
    (0.05, 0.0): (263, 4736, 0, 263),
    (0.05, 0.05): (276, 4723, 248, 276),
    (0.05, 0.10): (290, 4709, 523, 290),
    (0.10, 0.0): (555, 4444, 0, 555),
    (0.10, 0.05): (581, 4418, 232, 581),
    (0.10, 0.10): (609, 4390, 487, 609),
}


def labelled(labels, part, fine=None):
    """Images that carry their own position and part, so that a copy can be traced back."""
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels)) % 256
    images[:, 0, 0, 1] = np.arange(len(labels)) // 256
    images[:, 0, 0, 2] = part == "test"
    return LabelledImages(images, np.asarray(labels, np.int64), tuple(f"{part}/{i}" for i in range(len(labels))), fine)


def make_source(sizes, seed=0, fine_per_class=None):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fine = None
    if fine_per_class:
        position = np.array([(labels[:i] == c).sum() for i, c in enumerate(labels)])
        fine = labels * fine_per_class + position % fine_per_class
    names = tuple(f"class{c}" for c in range(len(sizes)))
    return Source("made", labelled(labels, "train", fine), labelled(np.arange(len(sizes)), "test"), names)


def deal(source, config):
    assignment = hold_out(assign_roles(source, config), config.held_out_ratio, config.seed)
    record = build_record(config, "named", source, assignment, choose_classes(source.class_names, config), "0" * 64)
    return assignment, assemble(source, assignment, record, None)


def positions(images):
    return images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 0, 1].astype(int)


@pytest.mark.parametrize(("ratios", "answer"), KNOWN_ANSWERS.items())
def test_elsa_counts_are_the_known_answers(ratios, answer):
    assert elsa_counts(5000, *ratios) == answer


@given(st.integers(0, 100_000), st.integers(0, 49), st.integers(0, 99))
def test_elsa_counts_solve_the_system(n, labelled_percent, pollution_percent):
    normal, unlabelled, pollution, abnormal = elsa_counts(n, labelled_percent / 100, pollution_percent / 100)
    assert normal == abnormal
    assert n - 2 < normal + unlabelled <= n
    total = normal + unlabelled + pollution + abnormal
    assert abs(normal - labelled_percent / 100 * total) < 3
    assert abs(pollution - pollution_percent / 100 * (unlabelled + pollution)) < 2


def test_elsa_counts_lose_no_image_to_rounding():
    # gamma_l 0.05, gamma_p 0: T = n / 0.95. In floating point 57 images give 53 unlabelled ones, not 54.
    for labelled_count in range(1, 50):
        answer = (labelled_count, 18 * labelled_count, 0, labelled_count)
        assert elsa_counts(19 * labelled_count, 0.05, 0.0) == answer


@pytest.mark.parametrize(("pollution_ratio", "pollution"), [(0.0, 0), (0.05, 29), (0.10, 62)])
def test_released_counts_of_cifar10(pollution_ratio, pollution):
    assert released_counts(5000, 10, 1, 0.05, pollution_ratio) == (250, 29, pollution)


def test_released_counts_of_cifar100_go_by_fine_class():
    # 2500 normals in 5 of 100 classes: round(2500 / 19 / 95) and round(2500 / 9 / 95).
    assert released_counts(2500, 100, 5, 0.05, 0.10) == (125, 1, 3)


def test_elsa_takes_labelled_anomalies_from_one_class_and_pollution_evenly_from_all():
    source = make_source([200] * 5)
    config = DataConfig(normal_class=3, labelled_ratio=0.1, pollution_ratio=0.2, held_out_ratio=0.0)
    assignment, split = deal(source, config)
    normal, unlabelled, pollution, abnormal = elsa_counts(200, 0.1, 0.2)
    labels = source.train.labels[assignment.index]
    assert Counter(labels[assignment.roles == 1].tolist()) == {3: normal}
    assert Counter(labels[assignment.roles == -1].tolist()) == {4: abnormal}
    hidden = Counter(labels[assignment.roles == 0].tolist())
    assert hidden.pop(3) == unlabelled
    assert sum(hidden.values()) == pollution
    assert set(hidden) == {0, 1, 2, 4}
    assert max(hidden.values()) - min(hidden.values()) <= 1
    assert split.counts.pollution == pollution


@pytest.mark.parametrize(("normal", "known", "expected"), [(0, None, 1), (4, None, 0), (4, 2, 2)])
def test_known_anomaly_class(normal, known, expected):
    source = make_source([60] * 5)
    config = DataConfig(normal_class=normal, known_abnormal_class=known, labelled_ratio=0.1)
    assignment = assign_roles(source, config)
    assert set(source.train.labels[assignment.index][assignment.roles == -1]) == {expected}


@pytest.mark.parametrize("fine_per_class", [None, 3])
def test_released_takes_the_first_images_in_order(fine_per_class):
    source = make_source([90] * 4, fine_per_class=fine_per_class)
    config = DataConfig(protocol="released", normal_class=1, labelled_ratio=0.2, pollution_ratio=0.3)
    per_class = fine_per_class or 1
    labelled_normal, labelled_each, hidden_each = released_counts(90, 4 * per_class, per_class, 0.2, 0.3)
    seen_normal, seen, expected = 0, Counter(), {}
    fine = source.train.labels if fine_per_class is None else source.train.fine_labels
    for position, (label, fine_label) in enumerate(zip(source.train.labels, fine, strict=True)):
        if label == 1:
            expected[position] = 1 if seen_normal < labelled_normal else 0
            seen_normal += 1
            continue
        if seen[fine_label] < labelled_each + hidden_each:
            expected[position] = -1 if seen[fine_label] < labelled_each else 0
        seen[fine_label] += 1
    assignment = assign_roles(source, config)
    assert dict(zip(assignment.index.tolist(), assignment.roles.tolist(), strict=True)) == expected


def test_labelled_leaves_no_image_unlabelled():
    source = make_source([7, 5, 6])
    assignment, split = deal(source, DataConfig(protocol="labelled", normal_class=1, held_out_ratio=0.0))
    assert assignment.index.tolist() == [*range(18)]
    assert (assignment.roles == np.where(source.train.labels == 1, 1, -1)).all()
    assert split.counts.unlabelled == 0
    assert split.counts.labelled_abnormal == 13


@pytest.mark.parametrize("protocol", ["elsa", "released"])
def test_no_labels_and_no_pollution_are_legal(protocol):
    source = make_source([50] * 3)
    config = DataConfig(protocol=protocol, labelled_ratio=0.0, pollution_ratio=0.0)
    assignment, split = deal(source, config)
    assert (assignment.roles == 0).all()
    assert set(source.train.labels[assignment.index]) == {0}
    assert split.counts.unlabelled == 50
    assert split.counts.pollution == 0
    assert split.held_out.images.shape == (0, 8, 8, 3)


@pytest.mark.parametrize("protocol", ["elsa", "released"])
def test_too_few_images_are_named_with_the_numbers(protocol):
    source = make_source([100, 100, 4])
    with pytest.raises(UsageError, match=r"hidden anomalies of .*which has 4 training images.*smaller ratios"):
        assign_roles(source, DataConfig(protocol=protocol, labelled_ratio=0.1, pollution_ratio=0.3))


@pytest.mark.parametrize("field", ["normal_class", "known_abnormal_class"])
def test_a_class_out_of_range_lists_the_classes(field):
    with pytest.raises(UsageError, match=rf"{field} is 3,.*0 class0, 1 class1, 2 class2.*from 0 to 2"):
        assign_roles(make_source([9] * 3), DataConfig(**{field: 3}))


def test_an_empty_normal_class_is_refused():
    with pytest.raises(UsageError, match=r"no training image of class 1 \(class1\)"):
        assign_roles(make_source([9, 0, 9]), DataConfig(normal_class=1))


@pytest.mark.parametrize(
    ("labelled_count", "ratio", "expected"),
    [(1, 0.9, 0), (2, 0.01, 1), (2, 0.99, 1), (5, 0.3, 2), (10, 0.25, 3), (10, 0.24, 2), (10, 0.0, 0), (7, 0.99, 6)],
)
def test_hold_out_rounds_half_up_and_leaves_both_sides(labelled_count, ratio, expected):
    roles = np.array([1] * labelled_count + [0] * 20 + [-1] * labelled_count, np.int8)
    dealt = Assignment(np.arange(len(roles)), roles, np.zeros(len(roles), np.bool_))
    held_out = hold_out(dealt, ratio, 0).held_out
    assert [int(held_out[roles == role].sum()) for role in (1, 0, -1)] == [expected, 0, expected]


@pytest.mark.parametrize("protocol", ["elsa", "released"])
def test_the_hold_out_does_not_change_the_split(protocol):
    source = make_source([80] * 4)
    dealt = [deal(source, DataConfig(protocol=protocol, held_out_ratio=ratio))[0] for ratio in (0.0, 0.5)]
    np.testing.assert_array_equal(dealt[0].index, dealt[1].index)
    np.testing.assert_array_equal(dealt[0].roles, dealt[1].roles)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(30, 80), min_size=2, max_size=6),
    st.sampled_from(["elsa", "released"]),
    st.integers(0, 15),
    st.integers(0, 15),
    st.integers(0, 90),
    st.integers(0, 2**63 - 1),
    st.data(),
)
def test_any_split_is_disjoint_counted_and_repeatable(sizes, protocol, gamma_l, gamma_p, held, seed, data):
    config = DataConfig(
        protocol=protocol,
        normal_class=data.draw(st.integers(0, len(sizes) - 1)),
        labelled_ratio=gamma_l / 100,
        pollution_ratio=gamma_p / 100,
        held_out_ratio=held / 100,
        seed=seed,
    )
    source = make_source(sizes, seed=len(sizes))
    assignment, split = deal(source, config)
    parts = (split.training, split.held_out)
    used = np.concatenate([part.images for part in parts])
    assert not used[:, 0, 0, 2].any(), "a test image is trained on"
    assert split.test.images[:, 0, 0, 2].all()
    assert len(set(positions(used).tolist())) == len(used) == len(assignment.index)
    roles = np.concatenate([part.roles for part in parts])
    labels = source.train.labels[positions(used)]
    assert (labels[roles == 1] == config.normal_class).all()
    assert (labels[roles == -1] != config.normal_class).all()
    assert 0 not in split.held_out.roles
    counts = split.counts
    if protocol == "elsa":
        normal, unlabelled, pollution, abnormal = elsa_counts(sizes[config.normal_class], gamma_l / 100, gamma_p / 100)
        assert counts.labelled_normal + counts.held_out_normal == normal
        assert counts.labelled_abnormal + counts.held_out_abnormal == abnormal
        assert (counts.unlabelled, counts.pollution) == (unlabelled + pollution, pollution)
    assert counts.test_normal == 1
    assert counts.test_abnormal == len(sizes) - 1
    again = deal(source, config)[1]
    np.testing.assert_array_equal(again.training.images, split.training.images)
    assert again.record == split.record


@pytest.mark.parametrize("role", [1, -1])
def test_the_hold_out_is_drawn_by_seed(role):
    dealt = Assignment(np.arange(40), np.full(40, role, np.int8), np.zeros(40, np.bool_))
    first, again, other = (hold_out(dealt, 0.5, seed).held_out.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_another_seed_is_another_elsa_split():
    source = make_source([80] * 4)
    first, second = (assign_roles(source, DataConfig(seed=seed)) for seed in (0, 1))
    assert first.index.tolist() != second.index.tolist()


def test_training_has_no_field_for_labels():
    assert [field.name for field in fields(TrainingImages)] == ["images", "roles"]


@pytest.mark.parametrize("seed", range(3))
def test_hidden_labels_do_not_reach_training(seed):
    source = make_source([120] * 4)
    config = DataConfig(pollution_ratio=0.3)
    assignment, split = deal(source, config)
    hidden = assignment.index[assignment.roles == 0]
    labels = source.train.labels.copy()
    labels[hidden] = np.random.default_rng(seed).permutation(labels[hidden])
    permuted = Source("made", labelled(labels, "train"), source.test, source.class_names)
    record = build_record(config, "named", permuted, assignment, (0, 1), "0" * 64)
    other = assemble(permuted, assignment, record, None)
    assert other.record.train.label != split.record.train.label
    for part in ("training", "held_out"):
        ours, theirs = getattr(split, part), getattr(other, part)
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.roles, theirs.roles)


def test_load_split_of_digits_trains_on_training_images_only():
    source = load_source(DataConfig())
    split = load_split(DataConfig(normal_class=3))
    np.testing.assert_array_equal(split.test.images, source.test.images)
    np.testing.assert_array_equal(split.test.abnormal, source.test.labels != 3)
    np.testing.assert_array_equal(split.test.classes, source.test.labels)
    assert split.test.names == source.test.names
    index, parts = np.array(split.record.train.image), np.array(split.record.train.part)
    np.testing.assert_array_equal(split.training.images, source.train.images[index[parts == "train"]])
    np.testing.assert_array_equal(split.held_out.images, source.train.images[index[parts == "held_out"]])
    assert split.class_names == tuple("0123456789")
    assert split.normal_class == 3


def test_image_size_resizes_every_part():
    split = load_split(DataConfig(image_size=16))
    assert {part.images.shape[1:] for part in (split.training, split.held_out, split.test)} == {(16, 16, 3)}
