"""The configuration: validated once, the same as YAML, dictionaries and flags."""

from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hscl_fast.config import parsing
from hscl_fast.config.exact import exact_sections
from hscl_fast.config.parsing import from_dict, to_dict
from hscl_fast.config.recipes import RECIPES, load_recipe, recipe_path
from hscl_fast.config.sections import SECTIONS, Config, DataConfig
from hscl_fast.errors import UsageError


def test_the_defaults_are_the_papers():
    config = Config()
    assert (config.optim.epochs, config.optim.batch_size, config.optim.learning_rate) == (250, 256, 1e-3)
    assert (config.optim.warmup_share * config.optim.epochs, config.objective.temperature) == (10, 0.5)
    assert (config.objective.weight_threshold, config.model.prototypes, config.model.embedding_dim) == (
        0.4,
        1,
        128,
    )
    assert config.objective.rotated_roles == "exclude"


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_valid_and_survive_yaml(recipe):
    config = load_recipe(recipe)
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config))), "config.yaml") == config
    for section, values in yaml.safe_load(recipe_path(recipe).read_text()).items():
        assert {name: to_dict(config)[section][name] for name in values} == values


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_saved_configuration_needs_no_parser(recipe, monkeypatch):
    config = load_recipe(recipe)
    monkeypatch.setattr(parsing, "PlainParser", None)
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config))), "config.yaml") == config


@pytest.mark.parametrize(
    ("section", "values", "exact"),
    [
        ("data", {"exclude": ["a", "b"], "image_size": None, "root": "5"}, True),
        ("data", {"exclude": "a"}, True),
        ("data", {"exclude": [1]}, False),
        ("data", {"labelled_ratio": 0}, False),  # a whole number, where the field is a fraction
        ("data", {"skip_bad": 1}, False),
        ("data", {"seed": True}, False),
        ("augment", {"rotations": 4, "crop_area": [0.5, 1.0]}, True),
        ("augment", {"rotations": 4.0}, False),
        ("augment", {"rotations": 3}, False),
        ("augment", {"crop_area": [0.5]}, False),
        ("augment", {"crop_area": [0.5, 1]}, False),
        ("optim", {"learning_rate": "1e-3"}, False),
    ],
)
def test_only_values_of_exactly_the_fields_type_go_round_the_parser(section, values, exact):
    assert (exact_sections({section: values}) is not None) is exact


def test_the_fast_recipe_is_the_papers_with_a_quarter_of_the_rows():
    fast, paper = load_recipe("fast"), load_recipe("paper")
    assert (fast.augment.rotations, paper.augment.rotations) == (1, 4)
    assert replace(fast, augment=paper.augment) == paper


def test_the_released_recipe_peaks_at_1e_2():
    config = load_recipe("released")
    assert (config.optim.learning_rate, config.evaluate.scoring, config.data.protocol) == (
        1e-2,
        "released",
        "released",
    )


@settings(max_examples=50, deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
    labelled=st.floats(0, 0.49),
    pollution=st.floats(0, 0.99),
    size=st.none() | st.integers(8, 1024),
    seed=st.integers(0, 2**63 - 1),
    low=st.floats(0.01, 1),
)
def test_any_valid_configuration_survives_yaml(name, labelled, pollution, size, seed, low):
    plain = {
        "data": {
            "name": name,
            "labelled_ratio": labelled,
            "pollution_ratio": pollution,
            "image_size": size,
            "seed": seed,
        },
        "augment": {"crop_area": [low, 1.0]},
    }
    config = from_dict(plain, "test")
    assert config.data.name == name
    assert config.data.seed == seed
    assert config.augment.crop_area == (low, 1.0)
    assert from_dict(yaml.safe_load(yaml.safe_dump(to_dict(config), allow_unicode=True)), "test") == config


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"data": {"nam": "digits"}}, "nam"),
        ({"date": {}}, "date"),
        ({"model": {"width": "wide"}}, "width"),
        ({"model": {"width": 17}}, "even"),
        ({"model": {"width": 8}}, "16 or more"),
        ({"optim": {"batch_size": 1}}, "batch_size"),
        ({"optim": {"learning_rate": float("nan")}}, "learning_rate"),
        ({"data": {"labelled_ratio": 0.5}}, "labelled_ratio"),
        ({"data": {"known_abnormal_class": 0}}, "known_abnormal_class"),
        ({"augment": {"crop_area": [0.5, 0.2]}}, "crop_area"),
        ({"augment": {"crop_area": [0.5]}}, "crop_area"),
        ({"objective": {"name": "paperr"}}, "name"),
        ({"objective": {"name": "released"}}, "inherit"),
        ({"evaluate": {"scoring": "released"}}, "shift_loss"),
        ({"objective": {"lambda_prototype": 0}, "evaluate": {"scoring": "contrast+knn"}}, "needs prototypes"),
        ({"augment": {"rotations": True}}, "augment.rotations is True, but must be 1, 2 or 4"),
        ({"augment": {"rotations": 2.0}}, "augment.rotations is 2.0, but must be 1, 2 or 4"),
        ({"augment": {"rotations": 3}}, "augment.rotations is 3, but must be one of 1, 2 or 4"),
        ({"objective": {"shift_loss": True}, "augment": {"rotations": 1}}, "no turns to tell apart"),
        ({"objective": {"temperature": 1e-40}}, "temperature is 1e-40, but must be from 0.0001 to 10000"),
        ({"objective": {"temperature": 2e4}}, "temperature"),
        ({"runtime": {"device": "tpu"}}, "device"),
        (["data"], "mapping"),
        (None, "mapping"),
        ("!!python/object/apply:os.system ['true']", "mapping"),
    ],
)
def test_bad_values_are_named(plain, message):
    with pytest.raises(UsageError, match=message):
        from_dict(plain, "config.yaml")


def test_every_field_is_described():
    for section in SECTIONS.values():
        described = section.__doc__ or ""
        assert all(field.name in described for field in fields(section)), section


def test_sections_are_frozen():
    with pytest.raises(AttributeError):
        DataConfig().name = "cifar10"
