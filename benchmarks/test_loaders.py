"""How many images per second does each loader give, beside a DataLoader over PNG files, and what share of a step?"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from benchmarks.interleave import Interleaved, Variant
from benchmarks.png_folder import data_loader, draw, forget, read_from_disk
from hscl_fast.config.recipes import load_recipe
from hscl_fast.config.sections import Config, DataConfig, RuntimeConfig
from hscl_fast.data.beton.ffcv_import import ffcv_is_installed
from hscl_fast.data.loaders.choose import make_loader
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.prepare import Preparation, prepare_beton
from hscl_fast.data.split.split import Split
from hscl_fast.device import Execution
from hscl_fast.method.network import build_network
from hscl_fast.training.step import TrainingStep

# Not importorskip: importing FFCV by itself would set torch to one thread, for every benchmark.
pytestmark = pytest.mark.skipif(not ffcv_is_installed(), reason="needs FFCV: the extra ffcv")
CPU = torch.device("cpu")
BATCH = 64
SETS = {32: 4096, 224: 768}  # pixels: images
ENCODINGS = {32: ("raw",), 224: ("raw", "jpeg")}
WARM_ROUNDS, COLD_ROUNDS, STEPS = 5, 3, 6
OURS = "ffcv, raw"


class Files(NamedTuple):
    """The folder, and the .beton files made of it by their encoding."""

    size: int
    folder: Path
    betons: dict[str, Path]

    def split(self, encoding: str | None = None) -> Split:
        """Open the folder, or one of the .beton files."""
        name = self.folder if encoding is None else self.betons[encoding]
        return open_split(DataConfig(name=str(name), image_size=self.size))

    def behind(self, name: str) -> list[Path]:
        """The files that a variant reads."""
        if name.startswith("ffcv"):
            return [self.betons[name.split(", ")[1]]]
        return list((self.folder / "train" / "unlabeled").iterdir())


@pytest.fixture(scope="module", params=SETS)
def files(request, tmp_path_factory):
    size = request.param
    root = tmp_path_factory.mktemp("loaders")
    folder = draw(root / "png", SETS[size], size)
    betons = {}
    for encoding in ENCODINGS[size]:
        betons[encoding] = root / f"{encoding}.beton"
        config = DataConfig(name=str(folder), image_size=size)
        prepare_beton(config, Preparation(betons[encoding], encoding))
    return Files(size, folder, betons)


def passes(files: Files) -> dict[str, Callable[[], Callable[[], int]]]:
    """By variant, what opens it and returns one pass over all images, which returns how many there were."""

    def ours(kind: str, split: Split, workers: int | None = None) -> Callable[[], int]:
        loader = make_loader(kind, split.training, RuntimeConfig(workers=workers), BATCH, CPU)
        epochs = iter(range(10**6))

        def one() -> int:
            first = next(epochs) * loader.steps_per_epoch
            return sum(len(batch.images) for batch in loader.batches(first, first + loader.steps_per_epoch))

        return one

    def peer(workers: int) -> Callable[[], int]:
        loader = data_loader(files.folder, files.size, BATCH, workers)
        return lambda: sum(len(images) for images in loader)

    variants = {f"ffcv, {encoding}": lambda e=encoding: ours("ffcv", files.split(e)) for encoding in files.betons}
    return {
        "resident": lambda: ours("resident", in_memory(files.split("raw"))),
        **variants,
        "torch, 2 workers": lambda: ours("torch", files.split(), 2),
        "DataLoader over PNG files, 1 worker": lambda: peer(1),
        "DataLoader over PNG files, 2 workers": lambda: peer(2),
    }


def test_all_loaders_give_the_same_images(files):
    splits = {"resident": files.split("raw"), "ffcv": files.split("raw"), "torch": files.split()}
    loaders = {kind: make_loader(kind, s.training, RuntimeConfig(), BATCH, CPU) for kind, s in splits.items()}
    for three in zip(*(loader.batches(0, 3) for loader in loaders.values()), strict=True):
        for other in three[1:]:
            assert torch.equal(three[0].images, other.images)
            assert torch.equal(three[0].indices, other.indices)
    png = data_loader(files.folder, files.size, BATCH, 1).dataset
    for index in (0, 7):
        pixels = (png[index] * 255).round().byte().permute(1, 2, 0)
        np.testing.assert_array_equal(pixels, files.split("raw").training.images[index])


def test_warm(benchmark, files):
    """All files are in the page cache; every variant has made a pass before."""
    ready = {name: make() for name, make in passes(files).items()}
    timing = Interleaved({name: Variant(one, lambda _: None) for name, one in ready.items()}, CPU)
    for one in ready.values():
        one()
    others = [name for name in ready if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=WARM_ROUNDS)
    variants = {name: [row["total"][k] for k in range(3)] for name, row in timing.summary().items()}
    images = SETS[files.size] // BATCH * BATCH
    benchmark.extra_info.update(cache="warm", pixels=files.size, images=images, variants=variants, read={})


def test_cold(benchmark, files):
    """The files are dropped from the page cache (posix_fadvise DONTNEED) before every pass but the first."""
    ready = {name: make() for name, make in passes(files).items() if name != "resident"}
    for one in ready.values():
        one()  # compiles, starts workers
    seconds: dict[str, list[float]] = {name: [] for name in ready}
    read: dict[str, int] = {}
    order = random.Random(0)

    def time_one(name: str) -> None:
        forget(files.behind(name))
        before, start = read_from_disk(), time.perf_counter()
        ready[name]()
        seconds[name].append(time.perf_counter() - start)
        if name.startswith("ffcv"):  # the others' workers read
            read[name] = read_from_disk() - before

    def others() -> None:
        for name in order.sample([name for name in ready if name != OURS], len(ready) - 1):
            time_one(name)

    benchmark.pedantic(time_one, args=(OURS,), setup=others, rounds=COLD_ROUNDS)
    variants = {name: np.quantile(values, [0.25, 0.5, 0.75]).tolist() for name, values in seconds.items()}
    images = SETS[files.size] // BATCH * BATCH
    benchmark.extra_info.update(cache="cold", pixels=files.size, images=images, variants=variants, read=read)


@pytest.mark.parametrize("files", [32], indirect=True)
def test_share_of_a_step(benchmark, files):
    """The time in next(batch) beside that of the recipe cpu's training step on the same images."""
    config = load_recipe("cpu")
    splits = {"resident": in_memory(files.split("raw")), "ffcv": files.split("raw"), "torch": files.split()}
    shares = {kind: _share(config, kind, split) for kind, split in splits.items()}
    benchmark.pedantic(lambda: None, rounds=1)  # the figures are in extra_info
    benchmark.extra_info.update(cache="step", pixels=files.size, images=BATCH * STEPS, variants=shares, read={})


def _share(config: Config, kind: str, split: Split) -> list[float]:
    """Return the median seconds of next(batch) and of a step."""
    model = build_network(config.model, split.training.images.shape[1], rotation_head=False, seed=0)
    model.to(memory_format=torch.channels_last).train()
    step = TrainingStep(config, model, Execution(CPU), total_steps=STEPS + 1)
    loader = make_loader(kind, split.training, config.runtime, config.optim.batch_size, CPU)
    batches = loader.batches(0, STEPS + 1)
    step(next(batches))
    waits, steps = [], []
    for _ in range(STEPS):
        start = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - start)
        step(batch)
        steps.append(time.perf_counter() - start - waits[-1])
    batches.close()
    return [float(np.median(waits)), float(np.median(steps))]
