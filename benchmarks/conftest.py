"""Adds the versions and the machine to the JSON of pytest-benchmark."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import hscl_kernels
import torch

_PACKAGES = ("torch", "triton", "pytorch-metric-learning", "lightly", "torchvision", "kornia", "ffcv")
_PACKAGES += ("inf-cl", "cut-cross-entropy", "liger-kernel")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def pytest_benchmark_update_machine_info(config, machine_info):
    root = Path(__file__).parents[1]
    assert root in Path(hscl_kernels.__file__).parents, "another checkout's hscl_kernels would be measured"
    machine_info["versions"] = {package: _version(package) for package in _PACKAGES}
    machine_info["threads"] = torch.get_num_threads()
    machine_info["load_average"] = os.getloadavg()[0]
    machine_info["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
