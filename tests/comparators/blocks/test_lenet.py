import numpy as np
import pytest
import torch

from hscl_fast.comparators.blocks.lenet import LeNet, MirroredDecoder, are_grey, network_pixels


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [8, 9, 12, 28, 30, 32, 64])
def test_the_decoder_returns_images_of_the_size(size, grey):
    images = torch.randint(0, 256, (3, size, size, 3), dtype=torch.uint8)
    pixels = network_pixels(images, grey=grey)
    encoder = LeNet(size, grey=grey)
    codes = encoder(pixels)
    decoded = MirroredDecoder(encoder)(codes)
    assert codes.shape == (3, 64 if grey else 128)
    assert decoded.shape == pixels.shape == (3, 1 if grey else 3, min(size, 32), min(size, 32))
    assert ((decoded > 0) & (decoded < 1)).all()


def test_sizes_of_the_publication():
    colour, grey = LeNet(32, grey=False), LeNet(28, grey=True)
    assert colour.sides == [32, 16, 8, 4]
    assert colour.head[0].weight.shape == (128, 128 * 4 * 4)
    assert grey.sides == [28, 14, 7]
    assert [layer.weight.shape for layer in (grey.head[0], grey.head[3])] == [(128, 32 * 7 * 7), (64, 128)]


@pytest.mark.parametrize("grey", [False, True])
def test_nothing_can_map_all_images_to_the_centre(grey):
    network = LeNet(12, grey=grey)
    assert all(parameter.dim() > 1 for parameter in network.parameters())  # no bias, no weights of a normalisation
    torch.testing.assert_close(
        network.eval()(torch.zeros(1, network.channels, 12, 12)), torch.zeros(1, network.features)
    )


def test_grey_is_seen_in_all_images():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    assert are_grey(images)
    images[1, 3, 3, 2] = 1
    assert not are_grey(images)
