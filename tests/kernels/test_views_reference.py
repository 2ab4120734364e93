"""The view pipeline against recorded outputs of the released layers, and its own conventions."""

import pytest
import torch
from hscl_kernels import ViewParameters
from hscl_kernels import augment_views as any_form
from hscl_kernels.views import reference
from views_batch import golden_parameters, load_golden


@pytest.fixture(scope="module")
def golden():
    return load_golden()


def augment_views(*arguments, **options):
    return any_form(*arguments, **options, backend="reference")


def close(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_layers_match_the_released_ones(golden):
    x = golden["images"].float() / 255
    close(reference.adjust_hsv(x, golden["hue"], golden["saturation"], golden["value"]), golden["hsv_out"])
    close(reference.adjust_contrast(x, golden["contrast"]), golden["contrast_out"])
    close(reference.to_gray(x), golden["gray_out"])
    close(reference.resized_crop(x, golden["crop_whbias"], (32, 32)), golden["crop_out"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pipeline_matches_the_released_one(golden, dtype):
    parameters = golden_parameters(golden)
    images = golden["images"].permute(0, 2, 3, 1)
    views = augment_views(images, parameters, dtype=dtype, mean=0.0, std=1.0)
    close(views, golden["pipeline_out"].to(dtype))
    # Rows choose their source: reversed parameters give reversed views.
    mirrored = ViewParameters(*(field.flip(0) for field in parameters))
    close(augment_views(images, mirrored, dtype=dtype, mean=0.0, std=1.0), views.flip(0))


@pytest.mark.parametrize("turns", range(4))
def test_rotation_is_rot90_counter_clockwise(golden, turns):
    images = golden["images"].permute(0, 2, 3, 1)
    rows = torch.arange(len(images))
    parameters = ViewParameters.identity(rows, torch.full_like(rows, turns))
    views = augment_views(images, parameters, mean=0.0, std=1.0)
    close(views, golden["rot_out"][turns])


def test_identity_normalises_and_keeps_the_layout():
    images = torch.randint(0, 256, (3, 9, 14, 3), dtype=torch.uint8)
    views = augment_views(images, ViewParameters.identity(torch.tensor([2, 0])))
    expected = (images[[2, 0]].permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(views, expected, atol=1e-5, rtol=0)
    assert views.is_contiguous(memory_format=torch.channels_last)


def test_a_turned_oblong_image_fills_its_frame():
    images = torch.zeros(1, 8, 16, 3, dtype=torch.uint8)
    images[:, :4] = 255  # the upper half; one turn counter-clockwise puts it on the left
    row = torch.zeros(1, dtype=torch.int64)
    (view,) = augment_views(images, ViewParameters.identity(row, row + 1), mean=0.0, std=1.0)
    assert view.shape == (3, 8, 16)
    assert (view[:, :, :7] > 0.99).all()
    assert (view[:, :, 9:] < 0.01).all()
