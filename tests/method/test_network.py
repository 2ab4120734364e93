"""The network's shapes, stems and determinism."""

import pytest
import torch
from torch import nn

from hscl_fast.config.sections import ModelConfig
from hscl_fast.errors import UsageError
from hscl_fast.method.network import StandardDirections, build_network


def build(size=32, seed=0, rotation_head=False, **options):
    return build_network(ModelConfig(**options), size, rotation_head=rotation_head, seed=seed)


def test_the_paper_network_for_small_images():
    model = build()
    assert isinstance(model.encoder.conv1, nn.Conv2d)
    assert (model.encoder.conv1.kernel_size, model.encoder.conv1.stride) == ((3, 3), (1, 1))
    assert isinstance(model.encoder.maxpool, nn.Identity)
    assert [layer.out_features for layer in model.projection if isinstance(layer, nn.Linear)] == [512, 128]
    assert model.prototypes.shape == (1, 128)
    # torchvision's ResNet-18 without its classifier, its 7x7 stem replaced by a 3x3 one
    assert sum(p.numel() for p in model.encoder.parameters()) == 11_176_512 - 64 * 3 * (49 - 9)


@pytest.mark.parametrize("size", [8, 28, 64])
def test_narrow_networks_have_the_asked_shapes(size):
    model = build(size, width=16, prototypes=3, embedding_dim=24, projection_hidden=40, rotation_head=True)
    features = model(torch.randn(4, 3, size, size))
    assert features.embeddings.shape == (4, 24)
    assert features.rotation_logits.shape == (4, 4)
    assert model.prototypes.shape == (3, 24)
    assert model.encoder.conv1.out_channels == 16


def test_a_stem_of_stride_two_halves_the_resolution_of_all_but_tiny_images():
    def side_after_stem(size, stride):
        return build(size, width=16, stem_stride=stride).encoder.conv1(torch.zeros(1, 3, size, size)).shape[-1]

    assert [side_after_stem(*case) for case in ((32, 1), (32, 2), (16, 2), (8, 2))] == [32, 16, 8, 8]


def test_large_images_keep_the_standard_stem_and_other_encoders_work():
    assert build(96, width=16).encoder.conv1.kernel_size == (7, 7)
    model = build(96, encoder="mobilenetv3_small_050")
    assert model(torch.randn(2, 3, 96, 96)).embeddings.shape == (2, 128)


def test_the_seed_decides_the_weights_and_nothing_else_moves():
    before = torch.random.get_rng_state()
    first, again, other = build(width=16), build(width=16), build(width=16, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.encoder.conv1.weight, other.encoder.conv1.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet_18"}, "timm does not know"),
        ({"encoder": "mobilenetv3_small_050", "width": 32}, "only resnet encoders can be narrowed"),
    ],
)
def test_unsupported_encoders_are_explained(options, message):
    with pytest.raises(UsageError, match=message):
        build(**options)


@pytest.mark.parametrize("size", [8, 28])
def test_gradients_in_channels_last_are_those_of_the_plain_layout(size):
    """Narrower networks than the configuration allows corrupt memory here (uxlfoundation/oneDNN issue 6035)."""
    views = torch.randn(64, 3, size, size, generator=torch.Generator().manual_seed(0))
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = build(size, width=16).to(memory_format=layout)
        model(views.contiguous(memory_format=layout)).embeddings.square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())


def test_the_head_may_be_linear():
    config = ModelConfig(width=16, projection_hidden=0, embedding_dim=8)
    head = build_network(config, 8, rotation_head=False, seed=0).projection
    assert [type(layer) for layer in head] == [torch.nn.Linear]
    assert head[0].weight.shape == (8, 128)


def test_the_features_of_a_frozen_encoder_are_standardised():
    """Whatever their size: as unit rows, each feature with mean 0 and variance 1 over the rows."""
    module = StandardDirections(5)
    encoded = torch.rand(400, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10, 0.1, 1, 3])
    standard = module(encoded.bfloat16())
    assert standard.dtype == torch.float32
    torch.testing.assert_close(standard.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.var(0, unbiased=False), torch.ones(5), atol=0.03, rtol=0)
    torch.testing.assert_close(module(7 * encoded), module(encoded), atol=1e-4, rtol=0)
    for _ in range(200):
        module(encoded)
    module.eval()
    torch.testing.assert_close(module(encoded), module.train()(encoded), atol=0.03, rtol=0)
