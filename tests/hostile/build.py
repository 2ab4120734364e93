"""Parts of hostile files that several kinds of cases use."""

import hashlib
import json
import os
import pickle
import shutil
import zlib

import numpy as np
from PIL import Image

FOLDERS = ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal/dent")
HUGE = 40 << 30  # bytes of a sparse file


def picture(size=(12, 12), mode="RGB", seed=0):
    """An image of noise."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode)


def draw_photos(root, per_folder=4):
    """A user's folder of images."""
    for seed, folder in enumerate(FOLDERS):
        (root / folder).mkdir(parents=True)
        for number in range(per_folder):
            picture(seed=seed * per_folder + number).save(root / folder / f"{number}.png")
    return root


def copy(box, *names):
    """Copy parts of the model folder into the working directory."""
    for name in names:
        source = box.model / name
        if source.is_dir():
            shutil.copytree(source, box.work / name, symlinks=True)
        else:
            shutil.copy(source, box.work / name)
    return box.work / names[0]


def sparse(path, size=HUGE):
    """A file that takes no space on disk but has gigabytes of zeros."""
    with open(path, "wb") as file:
        file.truncate(size)


def fifo(path):
    """A pipe, which blocks whoever opens it to read."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def replace_text(path, text):
    """Write a text file of any content, lone surrogates included."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


class Executes:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


def code(box, protocol=2):
    """A pickle that runs a command."""
    return pickle.dumps(Executes(box.harm), protocol)


def deflated_zeros(size):
    """A raw deflate stream of zeros, about a thousandth of their size, without producing them."""
    block = 1 << 24
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    repeated = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    return repeated * (size // block) + last.compress(bytes(size % block)) + last.flush()


def sha256(data):
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def edit_json(path, edit):
    """Change a JSON file: ``edit`` gets its value and changes it, or returns another."""
    value = json.loads(path.read_text(encoding="utf-8"))
    other = edit(value)
    path.write_text(json.dumps(value if other is None else other), encoding="utf-8")
