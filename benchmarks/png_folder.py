"""The peer of the loaders: a folder of PNG files, read by a Dataset as torchvision's users write it."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def draw(folder: Path, count: int, size: int) -> Path:
    """Make a folder for ``hscl train`` of ``count`` PNG files: soft shapes under some noise, hard to compress."""
    rng = np.random.default_rng(0)
    (folder / "train" / "unlabeled").mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        soft = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.int16)
        noisy = soft + rng.integers(-4, 5, (size, size, 3))
        pixels = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        pixels.save(folder / "train" / "unlabeled" / f"{number:05d}.png")
    return folder


class PngFolder(Dataset[Tensor]):
    """PIL open, convert, resize, to a float tensor [3, S, S] in [0, 1]: ImageFolder with Resize and ToTensor."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = sorted((folder / "train" / "unlabeled").iterdir())
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as file:
            image = file.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)


def data_loader(folder: Path, size: int, batch_size: int, workers: int) -> DataLoader[Tensor]:
    """Return the DataLoader over the folder; its workers live from one pass to the next."""
    return DataLoader(
        PngFolder(folder, size),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
    )


def forget(paths: list[Path]) -> None:
    """Ask the kernel to drop the files from its page cache, which keeps what a process has mapped."""
    for found in gc.get_objects():
        if type(found) is np.memmap and Path(str(found.filename)) in paths:
            found._mmap.madvise(mmap.MADV_DONTNEED)
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read_from_disk() -> int:
    """Return the bytes that this process had to fetch from the disk so far."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["read_bytes"])
