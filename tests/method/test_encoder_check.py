"""Encoders that fail on a size, or ignore a part of the image, are refused with the next sizes that work."""

import pytest
import timm
import torch

from hscl_fast.errors import UsageError
from hscl_fast.method.encoder_check import require_whole_image


def encoder(name, **options):
    return timm.create_model(name, pretrained=False, num_classes=0, **options)


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("test_vit", 48, {"img_size": 48}),
        ("mobilenetv3_small_050", 31, {}),
        ("convnext_atto", 32, {}),
        ("resnetv2_18", 33, {}),
    ],
)
def test_whole_images_pass(name, size, options):
    network = encoder(name, **options)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    require_whole_image(network, name, size)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert network.training


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        ("vit_tiny_patch16_224", 40, {"img_size": 40}, r"ignores 36% of the pixels.*--data\.image_size 32 or 48"),
        ("convnext_atto", 33, {}, r"ignores 6% of the pixels.*--data\.image_size 32 or 36"),
        ("vgg11", 8, {}, r"cannot take images of 8 pixels.*--data\.image_size 32"),
    ],
)
def test_what_is_ignored_or_too_small_is_refused(name, size, options, message):
    with pytest.raises(UsageError, match=message):
        require_whole_image(encoder(name, **options), name, size)
