"""Packaging of hscl-fast: two import packages, ``hscl_fast`` and the leaf ``hscl_kernels``, and a library in C++."""

import hashlib
from pathlib import Path

from setuptools import Extension, find_packages, setup

NATIVE = Path("kernels/hscl_kernels/contrast/native")


def native_objective() -> Extension:
    """Return the CPU form of the objective; it is optional, and without a compiler the form in Python is used."""
    sources = sorted(path for path in NATIVE.iterdir() if path.suffix in (".cpp", ".h", ".inc"))
    # hscl_kernels.contrast.cpu_native compares this with the sources it finds, so that no stale library is used.
    made_from = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return Extension(
        "hscl_kernels.contrast._objective",
        sources=[str(path) for path in sources if path.suffix == ".cpp"],
        depends=[str(path) for path in sources],
        define_macros=[("HSCL_SOURCES", f'"{made_from}"')],
        # No -march: the library has code for several sets of instructions and is told which one to use.
        extra_compile_args=["-std=c++17", "-O3", "-fno-math-errno", "-fvisibility=hidden", "-Wno-psabi", "-g0"],
        extra_link_args=["-pthread"],
        optional=True,
    )


EXTRAS = {
    "ffcv": ["ffcv>=1.0.2", "numba>=0.59"],
    "tensorboard": ["tensorboard>=2.16"],
    "export": ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.5"],  # only .onnx files need it
    "ray": ["ray>=2.40"],  # many machines: hscl reproduce --backend ray
    "bench": ["pytest-benchmark>=5.0"],
    # benchmarks/ compares with these; the last three run on a GPU only
    "peers": [
        "kornia>=0.8",
        "lightly>=1.5",
        "pytorch-metric-learning>=2.6",
        "cut-cross-entropy>=25.1",
        "inf-cl>=1.2",
        "liger-kernel>=0.8",
    ],
    "fuzz": ["atheris>=3.0"],  # coverage-guided fuzzing, by `make fuzz` only
    "dev": [
        "hypothesis>=6.100",
        "mypy>=1.10",
        "pytest>=8.2",
        "pytest-cov>=5.0",
        "pytest-xdist>=3.6",
        "ruff>=0.6",
        "selenium>=4.20",  # drives Debian's chromium in the tests
        "types-PyYAML",
    ],
}

setup(
    name="hscl-fast",
    version="0.1.0",
    description="Fast contrastive anomaly detection from contaminated, barely labelled images (HSCL)",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # kernels/ is a second import root, so that `import hscl_kernels` is the folder name.
    packages=find_packages(where=".", include=["hscl_fast*"])
    + find_packages(where="kernels", include=["hscl_kernels*"]),
    package_dir={"hscl_kernels": "kernels/hscl_kernels", "hscl_fast": "hscl_fast"},
    ext_modules=[native_objective()],
    package_data={
        "hscl_kernels.contrast": ["native/*"],
        "hscl_fast.config.recipes": ["*.yaml"],
        "hscl_fast.evaluation.report": ["*.html.j2", "templates/*"],
        "hscl_fast.reproduce": ["templates/*"],
        "hscl_fast.review": ["*.html.j2", "*.css", "*.js"],
    },
    install_requires=[
        "torch~=2.14.1",
        "torchvision~=0.29.1",
        "timm>=1.0.11",
        "numpy>=1.26",
        "scipy>=1.11",
        "scikit-learn>=1.5",
        "osqp>=1.0",  # the comparator ssad
        "pytorch-ood>=0.4",  # the comparators deep_svdd and deep_sad
        "pillow>=10.0",
        "jsonargparse[signatures]>=4.40",
        "pydantic>=2.8",
        "PyYAML>=6.0",
        "rich>=13.7",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "safetensors>=0.5",
        "simplejpeg>=1.7",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["hscl = hscl_fast.cli.main:main"]},
)
