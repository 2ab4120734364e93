"""The resize inside of an exported model is Pillow's, bit for bit."""

import numpy as np
import pytest
import torch

from hscl_fast.data.decode import resize_images
from hscl_fast.export.resizing import resize


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (8, 8, 8),
        (8, 8, 13),
        (1, 1, 8),
        (5, 7, 64),
        (31, 33, 32),
        (100, 37, 32),
        (37, 100, 32),
        (3, 200, 64),
        (480, 640, 96),
    ],
)
def test_it_is_bit_for_bit_that_of_decoding(height, width, size, rng):
    noise = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    ties = np.where(noise > 127, 255, 0).astype(np.uint8)  # whose means are more often halfway between grey levels
    for images in (noise, ties):
        found = resize(torch.from_numpy(images), size)
        assert found.dtype == torch.float32
        assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), resize_images(images, size))
