"""Every form of ``augment_views`` against the reference, on hostile images and parameters; its other promises."""

import pytest
import torch
import torch._inductor.config
from hscl_kernels import ViewParameters, augment_views, launch
from hscl_kernels.selfcheck.problems import make_images, make_parameters
from hscl_kernels.views import triton_form
from views_batch import assert_within_budget, golden_parameters, load_golden

FAST = ["cpu", "triton"]
ALL = ["reference", *FAST]


@pytest.fixture
def whole_blocks(monkeypatch):
    """The interpreter pays for every operation on a block: let one block hold the whole image."""
    monkeypatch.setattr(launch, "VIEW_BLOCK", 1 << 16)


@pytest.fixture
def poisoned():
    """Fill new tensors with NaN, so that what is not written shows."""
    torch.use_deterministic_algorithms(True)
    filling = torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.utils.deterministic.fill_uninitialized_memory = filling
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("backend", ALL)
def test_the_released_pipeline(backend):
    golden = load_golden()
    images = golden["images"].permute(0, 2, 3, 1)
    views = augment_views(images, golden_parameters(golden), mean=0.0, std=1.0, backend=backend)
    torch.testing.assert_close(views, golden["pipeline_out"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (32, 32), (40, 12)])
@pytest.mark.parametrize("crop_first", [False, True])
def test_any_size(backend, channels, size, crop_first, whole_blocks):
    images = make_images(7, *size, channels)
    assert_within_budget(images, make_parameters(12, 7, crop_first=crop_first), backend, mean=0.3, std=0.7)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("size", [(256, 256), (8, 256), (224, 224)])
def test_large_images(backend, size, whole_blocks):
    assert_within_budget(make_images(2, *size, 3), make_parameters(3, 2), backend)


@pytest.mark.parametrize("channels", [1, 3])
def test_several_blocks_per_image(channels, monkeypatch):
    monkeypatch.setattr(launch, "VIEW_BLOCK", 64)
    assert_within_budget(make_images(3, 13, 11, channels), make_parameters(6, 3), "triton")


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("crop_first", [False, True])
def test_each_channel_has_its_own_mean_and_std(backend, crop_first, whole_blocks):
    images, parameters = make_images(4, 9, 12, 3), make_parameters(8, 4, crop_first=crop_first)
    statistics = {"mean": (0.485, 0.456, 0.406), "std": (0.229, -0.224, 0.225)}
    assert_within_budget(images, parameters, backend, **statistics)
    plain = augment_views(images, parameters, mean=0.0, std=1.0, backend=backend)
    views = augment_views(images, parameters, backend=backend, **statistics)
    for channel, (mean, std) in enumerate(zip(*statistics.values(), strict=True)):
        torch.testing.assert_close(views[:, channel], (plain[:, channel] - mean) / std, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"std": 0.0}, "std is 0.0, by which the views would be divided"),
        ({"std": (1.0, 0.0, 1.0)}, "by which the views would be divided"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values, expected one number, or 3"),
        ({"mean": float("nan")}, "mean is nan"),
        ({"std": (1.0, float("inf"), 1.0)}, "std is inf"),
    ],
)
def test_means_and_stds_are_checked(statistics, message):
    with pytest.raises(ValueError, match=message):
        augment_views(make_images(1, 4, 4, 3), make_parameters(2, 1), **statistics)


@pytest.mark.parametrize("rows", [1, 2, 300])
def test_several_chunks_of_rows(rows, monkeypatch):
    monkeypatch.setattr("hscl_kernels.views.cpu._CHUNK_PIXELS", 7 * 100)
    assert_within_budget(make_images(9, 10, 10, 3), make_parameters(rows, 9), "cpu")


@pytest.mark.parametrize("backend", FAST)
def test_nothing_is_left_unwritten(backend, poisoned):
    views = augment_views(make_images(3, 9, 14, 3), make_parameters(8, 3), backend=backend)
    assert torch.isfinite(views).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", ALL)
def test_half_precision_is_the_rounded_float32(backend, dtype):
    images, parameters = make_images(4, 12, 12, 3), make_parameters(8, 4)
    exact = augment_views(images, parameters, backend=backend)
    half = augment_views(images, parameters, dtype=dtype, backend=backend)
    assert half.dtype == dtype
    if (backend, dtype) == ("triton", torch.bfloat16):  # Triton's interpreter cuts bfloat16 off, a GPU rounds
        torch.testing.assert_close(half.float(), exact, rtol=2**-7, atol=2**-9)
    else:
        assert torch.equal(half, exact.to(dtype))


def test_float64_on_the_cpu():
    images, parameters = make_images(6, 16, 16, 3), make_parameters(20, 6)
    views, truth = (
        augment_views(images, parameters, dtype=torch.float64, backend=form) for form in ("cpu", "reference")
    )
    torch.testing.assert_close(views, truth, atol=1e-12, rtol=0)


# Planes that are not a whole number of vectors, and one that is larger than the share of a single thread.
UNEVEN = [(16, 16, 3), (9, 31, 3), (13, 11, 1), (181, 183, 1)]


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("shape", UNEVEN)
def test_a_row_depends_on_its_own_image_and_parameters_alone(backend, shape, whole_blocks):
    images, parameters = make_images(4, *shape), make_parameters(12, 4)
    parameters.crop[::2] = torch.tensor([0.6, 0.7, 0.3, -0.25])  # within the image, unlike most others
    views = augment_views(images, parameters, backend=backend)
    for row in (0, 1, 7, 10, 11):
        own = ViewParameters(*(field[row : row + 1] for field in parameters))
        assert torch.equal(augment_views(images, own, backend=backend)[0], views[row])


@pytest.mark.parametrize("backend", FAST)
def test_strided_inputs(backend):
    wide = make_images(6, 16, 32, 3)
    images, parameters = wide[::2, :, ::2], make_parameters(10, 3)
    strided = ViewParameters(*(torch.stack((field, field), dim=1)[:, 0] for field in parameters))
    views = augment_views(images, strided, backend=backend)
    assert torch.equal(views, augment_views(images.contiguous(), parameters, backend=backend))


@pytest.mark.parametrize("backend", ALL)
def test_no_rows(backend):
    views = augment_views(make_images(2, 8, 8, 3), make_parameters(0, 2), backend=backend)
    assert views.shape == (0, 3, 8, 8)


@pytest.mark.parametrize("shape", [(32, 32, 3), *UNEVEN])
def test_the_same_bits_with_any_number_of_threads(shape):
    rows = max(2, 300 * 1024 // (shape[0] * shape[1]))
    images, parameters = make_images(20, *shape), make_parameters(rows, 20)
    before = torch.get_num_threads()
    views = []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            views.append(augment_views(images, parameters))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(views[0], others) for others in views[1:])


@pytest.mark.parametrize("backend", FAST)
def test_opcheck(backend):
    arguments = (
        make_images(2, 8, 8, 3),
        *make_parameters(4, 2),
        torch.float16,
        [0.5, 0.4, 0.3],
        [0.5, 0.2, 1.0],
        backend,
    )
    torch.library.opcheck(torch.ops.hscl_kernels.augment_views.default, arguments)


@torch._inductor.config.patch(fx_graph_cache=False)  # the cache would give code for another ATEN_CPU_CAPABILITY
@pytest.mark.parametrize(
    ("backend", "compiler"), [pytest.param("cpu", "inductor", marks=pytest.mark.slow), ("triton", "aot_eager")]
)
def test_compiled_whole_without_recompilation(backend, compiler):
    def step(images, parameters):
        return augment_views(images, parameters, dtype=torch.bfloat16, backend=backend) * 2

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend=compiler)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(2):
            images, parameters = make_images(3, 8, 8, 3, seed=seed), make_parameters(6, 3, seed=seed)
            views = compiled(images, parameters)
            assert torch.equal(views, step(images, parameters))
            assert views.is_contiguous(memory_format=torch.channels_last)


def test_an_image_that_does_not_exist():
    images, parameters = make_images(3, 8, 8, 3), make_parameters(4, 3)
    missing = parameters._replace(image=torch.tensor([0, 3, -1, 2]))
    with pytest.raises(ValueError, match=r"\[-1, 3\].*0 to 2"):
        augment_views(images, missing)
    # On a GPU a check of the values would wait for the device: NaN shows the error.
    views = triton_form.augment_views(images, missing, dtype=torch.float32, mean=[0.5] * 3, std=[0.5] * 3)
    assert views.isnan().all(dim=(1, 2, 3)).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": torch.zeros(2, 8, 8, 3)}, TypeError, "float32, expected uint8"),
        ({"images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, ValueError, r"\[2, 3, 8, 8\].*channels last"),
        ({"images": torch.zeros(2, 0, 8, 3, dtype=torch.uint8)}, ValueError, "at least one pixel"),
        ({"dtype": torch.int32}, TypeError, "int32, expected float16"),
        ({"dtype": torch.float64, "backend": "triton"}, TypeError, "float64, which backend 'triton' lacks"),
        ({"std": 0.0}, ValueError, "std is 0"),
        ({"backend": "gpu"}, ValueError, "'gpu', expected one of"),
        ({"hue": torch.zeros(3)}, ValueError, r"parameters.hue has shape \[3\], expected \[4\]"),
        ({"crop": torch.zeros(4, 2)}, ValueError, r"parameters.crop has shape \[4, 2\], expected \[4, 4\]"),
        ({"flip": torch.zeros(4)}, TypeError, "parameters.flip has dtype torch.float32, expected bool"),
        ({"contrast": torch.zeros(4, dtype=torch.float64)}, TypeError, "float64, expected float32"),
        ({"rotation": torch.zeros(4)}, TypeError, "parameters.rotation has dtype torch.float32, expected an integer"),
    ],
)
def test_wrong_inputs_are_named(change, error, message):
    images, parameters = make_images(2, 8, 8, 3), make_parameters(4, 2)
    fields = {name: value for name, value in change.items() if name in ViewParameters._fields}
    options = {name: value for name, value in change.items() if name not in ViewParameters._fields}
    with pytest.raises(error, match=message):
        augment_views(options.pop("images", images), parameters._replace(**fields), **options)
