"""Encoders that begin with trained weights: small random ones that the tests save."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from hscl_fast.config.sections import ModelConfig
from hscl_fast.errors import UsageError
from hscl_fast.method import pretrained
from hscl_fast.method.network import build_network
from hscl_fast.method.pretrained import input_size, input_statistics

NAME = "test_byobnet"  # timm's smallest convolutional network, of 32 features


@pytest.fixture
def weights(tmp_path):
    """A file with the weights of an encoder, and those weights."""
    torch.manual_seed(5)
    state = timm.create_model(NAME).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors", state


def network(config, size=64, **options):
    return build_network(config, size, rotation_head=False, seed=0, **options)


def test_the_encoder_begins_with_the_weights_of_a_file(weights):
    path, state = weights
    encoder = network(ModelConfig(encoder=NAME, weights=str(path))).encoder.state_dict()
    assert encoder
    assert all(torch.equal(encoder[name], state[name]) for name in encoder)


def test_a_file_takes_the_place_of_timms_weights(weights, monkeypatch):
    """As it does where the recipe has ``pretrained: true``."""
    monkeypatch.setattr(pretrained, "_is_at_hand", lambda repository: pytest.fail("asked for timm's weights"))
    path, state = weights
    encoder = network(ModelConfig(encoder=NAME, pretrained=True, weights=str(path))).encoder.state_dict()
    assert all(torch.equal(encoder[name], state[name]) for name in encoder)


def test_a_checkpoint_needs_no_file(weights):
    config = ModelConfig(encoder=NAME, weights=str(weights[0]))
    trained = network(config).state_dict()
    weights[0].unlink()
    again = network(config, load=False)
    again.load_state_dict(trained)
    assert again.statistics == input_statistics(config)


def test_inputs_are_normalised_as_the_weights_were_trained(weights):
    config = ModelConfig(encoder="resnet18", weights=str(weights[0]))
    assert input_statistics(config) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert input_size(config) == 224
    scratch = ModelConfig(encoder="resnet18")
    assert input_statistics(scratch) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert input_size(scratch) is None


def test_a_frozen_encoder_does_not_learn(weights):
    model = network(ModelConfig(encoder=NAME, weights=str(weights[0]), freeze=True)).train()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    model(torch.rand(4, 3, 64, 64)).embeddings.square().sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert all(parameter.grad is not None for parameter in model.projection.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.encoder.state_dict().items())
    assert not model.encoder.training
    assert model.projection.training


def test_weights_of_another_encoder_are_refused(weights):
    with pytest.raises(UsageError, match=r"does not hold the weights of resnet18.*name the encoder they belong to"):
        network(ModelConfig(encoder="resnet18", weights=str(weights[0])))


def test_a_missing_or_broken_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        network(ModelConfig(encoder=NAME, weights=str(tmp_path / "none.safetensors")))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UsageError, match="does not hold the weights"):
        network(ModelConfig(encoder=NAME, weights=str(tmp_path / "text.safetensors")))


def test_a_pickle_is_not_run(tmp_path):
    class Code:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    torch.save({"weight": Code()}, tmp_path / "code.safetensors")
    with pytest.raises(UsageError, match="does not hold the weights"):
        network(ModelConfig(encoder=NAME, weights=str(tmp_path / "code.safetensors")))
    assert not (tmp_path / "written").exists()


def test_without_a_network_the_error_names_the_file_and_the_flag(monkeypatch):
    monkeypatch.setattr(pretrained, "_is_at_hand", lambda repository: False)
    with pytest.raises(
        UsageError, match=r"model.safetensors from https://huggingface.co/timm/resnet18.*--model.weights"
    ):
        network(ModelConfig(encoder="resnet18", pretrained=True))


def test_an_encoder_without_weights_is_refused():
    with pytest.raises(UsageError, match="timm has no weights for efficientnet_b0_gn"):
        network(ModelConfig(encoder="efficientnet_b0_gn", pretrained=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "model.pth"}, "a .safetensors file"),
        ({"weights": "model.SAFETENSORS"}, "a .safetensors file"),  # which timm would unpickle
        ({"pretrained": True, "width": 16}, "the width of pretrained weights"),
        ({"freeze": True}, "without --model.pretrained or --model.weights"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError, match=message):
        ModelConfig(**options)


def test_weights_of_a_larger_encoder_of_the_family_are_refused(tmp_path):
    """Every tensor of a small ResNet has a namesake of its shape in the larger one."""
    state = timm.create_model("resnet10t").state_dict()
    save_file({**state, "layer1.1.conv1.weight": torch.zeros(64, 64, 3, 3)}, tmp_path / "large.safetensors")
    with pytest.raises(UsageError, match=r"it has, but the encoder does not have, layer1\.1\.conv1\.weight"):
        network(ModelConfig(encoder="resnet10t", weights=str(tmp_path / "large.safetensors")))
