import numpy as np
import torch
from comparators.comparing import digits

from hscl_fast.comparators.blocks.distortions import OPERATIONS, distort

SEED = torch.tensor(4)


def test_distorted_images_depend_on_seed_and_place_alone_and_differ_from_the_originals():
    images = torch.from_numpy(digits(image_size=16).training.images[:12])
    distorted = distort(images, seed=SEED)
    assert distorted.shape == images.shape
    assert distorted.dtype == torch.uint8
    assert torch.equal(distort(images[:5], seed=SEED), distorted[:5])
    assert not torch.equal(distort(images, seed=torch.tensor(5)), distorted)
    change = (distorted.float() - images.float()).abs().mean(dim=(1, 2, 3))
    assert (change > 10).all()
    grey = (distorted == 127).all(dim=3).sum(dim=(1, 2))
    assert (grey >= 9).all()  # a square of a fifth of the side


def test_every_operation_works_and_all_but_the_identity_change_an_image():
    image = torch.from_numpy(digits(image_size=16).training.images[0]).permute(2, 0, 1)
    image = (image.float() * 0.7 + 20).byte()  # without black and white, so that contrast can be stretched
    colour = image * torch.tensor([1.0, 0.5, 0.8])[:, None, None]
    for name, operation in OPERATIONS.items():
        changed = operation(colour.byte(), 0.4, 1.0)
        assert changed.shape == image.shape
        assert changed.dtype == torch.uint8
        assert np.array_equal(changed, colour.byte()) == (name == "identity"), name
