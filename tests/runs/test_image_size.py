"""The size of the images where the configuration leaves it open."""

import pytest

from hscl_fast.config.sections import DataConfig, ModelConfig
from hscl_fast.runs.image_size import resolve_image_size

TRAINED = ModelConfig(weights="w.safetensors")  # of resnet18, trained at 224 pixels


@pytest.mark.parametrize(
    ("data", "model", "size"),
    [
        ({"name": "folder"}, TRAINED, 224),
        ({"name": "cifar10"}, TRAINED, 160),
        ({"name": "fashion_mnist"}, TRAINED, 140),
        ({"name": "cifar10"}, ModelConfig(), None),
        ({"name": "folder"}, ModelConfig(), None),
        ({"name": "cifar10", "image_size": 32}, TRAINED, 32),
        ({"name": "x.beton"}, TRAINED, None),
    ],
)
def test_the_size_suits_the_encoder(data, model, size):
    assert resolve_image_size(DataConfig(**data), model) == size
