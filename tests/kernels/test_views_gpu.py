"""The views kernel on a real GPU: against the float64 reference, bit for bit again, and without waiting."""

import pytest
import torch
from hscl_kernels import ViewParameters, augment_views
from hscl_kernels.selfcheck.problems import make_images, make_parameters
from views_batch import assert_within_budget, golden_parameters, load_golden

pytestmark = pytest.mark.gpu


def on_gpu(parameters):
    return ViewParameters(*(field.cuda() for field in parameters))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (32, 32), (64, 64), (224, 224), (256, 256)])
@pytest.mark.parametrize("crop_first", [False, True])
def test_any_size(channels, size, crop_first):
    parameters = on_gpu(make_parameters(200, 20, crop_first=crop_first))
    assert_within_budget(make_images(20, *size, channels).cuda(), parameters, "triton")


def test_the_released_pipeline():
    golden = load_golden()
    images = golden["images"].permute(0, 2, 3, 1).cuda()
    views = augment_views(images, on_gpu(golden_parameters(golden)), mean=0.0, std=1.0)
    torch.testing.assert_close(views.cpu(), golden["pipeline_out"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_rounded_float32(dtype):
    images, parameters = make_images(9, 32, 32, 3).cuda(), on_gpu(make_parameters(100, 9))
    exact = augment_views(images, parameters)
    assert torch.equal(augment_views(images, parameters, dtype=dtype), exact.to(dtype))


def test_the_same_bits_again_without_waiting():
    images, parameters = make_images(64, 32, 32, 3).cuda(), on_gpu(make_parameters(512, 64))
    first = augment_views(images, parameters)
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = augment_views(images, parameters)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first, second)
