"""Writes a ``.beton`` of any data: ``hscl data prepare``."""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image

from hscl_fast.atomic import json_bytes, replacing, sync
from hscl_fast.config.sections import NOT_PREPARED, DataConfig
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.beton.format import TEST, TRAIN
from hscl_fast.data.beton.sidecar import (
    LARGEST,
    SMALLEST,
    Counts,
    Sidecar,
    Skipped,
    TestColumns,
    TrainColumns,
    read_sidecar,
    sidecar_path,
)
from hscl_fast.data.beton.writer import BetonWriter
from hscl_fast.data.bit_depth import with_scale
from hscl_fast.data.decode import resize_images
from hscl_fast.data.open import SourceWithRoles, load_with_roles, side_of
from hscl_fast.data.types import AnyImages, Images, LabelledImages, Labels, Remark, Roles, take
from hscl_fast.errors import UsageError

RAW_BELOW = 64  # pixels: a smaller image takes less time to copy than to decode, and little space
_CHUNK = 1 << 24  # bytes hashed at a time


@dataclass(frozen=True)
class Preparation:
    """How to write a ``.beton``.

    Parameters
    ----------
    out
        The file; its sidecar is written beside it.
    encoding
        ``raw``, ``jpeg`` or ``auto``: raw for images smaller than 64 pixels, else JPEG.
    quality
        JPEG quality, 1 to 100.
    skip_bad
        Leave out files that cannot be read, instead of raising an error.
    overwrite
        Whether an existing file may be replaced.
    """

    out: Path
    encoding: Literal["auto", "raw", "jpeg"] = "auto"
    quality: int = 90
    skip_bad: bool = False
    overwrite: bool = False


@dataclass
class _Part:
    """One part of the data set, the rows of it that were written, and the files that could not be read."""

    images: LabelledImages
    roles: Roles | None
    rows: list[int] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the images that were written."""
        return [self.images.names[row] for row in self.rows]

    @property
    def labels(self) -> list[int]:
        """The true labels of the images that were written."""
        return self.images.labels[self.rows].tolist()


def prepare_beton(
    config: DataConfig,
    how: Preparation,
    progress: Callable[[int, int], None] = lambda done, total: None,
    remark: Callable[[Remark], None] = lambda remark: None,
) -> Sidecar:
    """Write the images of a data set with their roles into a ``.beton``.

    Parameters
    ----------
    config
        As for :func:`hscl_fast.data.open.load_split`; nothing is held out yet, so ``held_out_ratio`` is not used.
    how
        How to write it.
    progress
        Called with the images done and their total; an error that it raises stops the work and leaves no file behind.
    remark
        Called with what is worth saying on how the data was read.

    Returns
    -------
    Sidecar
        Its ``skipped`` names the files that were left out.

    Raises
    ------
    BadImages
        Files cannot be read and ``how.skip_bad`` is off; all of them are named.
    UsageError
        The data is missing, ``how.out`` exists or cannot be written, or an option is out of range.
    """
    _check(how)
    given = load_with_roles(config, allow_missing=True)
    config = with_scale(config, given.decoding)
    for said in given.remarks:
        remark(said)
    try:
        # The sidecar takes its place first, and the old .beton goes before that, so that there is never a .beton with
        # the sidecar of another.
        with replacing(how.out) as beton_file, replacing(sidecar_path(how.out)) as sidecar_file:
            with beton_file.open("wb") as file:
                sidecar = _write(file, given, config, how, progress)
            sidecar_file.write_bytes(json_bytes(sidecar.model_dump()))
            sync(beton_file)
            sync(sidecar_file)
            how.out.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {how.out} cannot be written: {error.strerror or error}. Give a file in a folder that you may write "
            "to, on a disk with free space."
        ) from error
    return sidecar


def _check(how: Preparation) -> None:
    if how.out.suffix != ".beton":
        raise UsageError(f"--out is {how.out}, but must end in .beton. Give --out {how.out.with_suffix('.beton')}.")
    if not 1 <= how.quality <= 100:
        raise UsageError(f"--quality is {how.quality}, but must be between 1 and 100. Give another --quality.")
    if not how.out.parent.is_dir():
        raise UsageError(f"--out {how.out}: there is no folder {how.out.parent}. Create it, or give another file.")
    taken = [path for path in (how.out, sidecar_path(how.out)) if os.path.lexists(path)]
    if taken == [sidecar_path(how.out)] and _is_sidecar(how.out):
        return  # left by a process that was killed before it renamed the .beton
    if taken and (how.out.is_dir() or not how.overwrite):
        raise UsageError(f"{taken[0]} already exists. Give another --out, or add --overwrite to replace it.")


def _is_sidecar(beton: Path) -> bool:
    try:
        return read_sidecar(beton) is not None
    except UsageError:
        return False


def _write(
    file: BinaryIO, given: SourceWithRoles, config: DataConfig, how: Preparation, progress: Callable[[int, int], None]
) -> Sidecar:
    source, size = given.source, side_of(given.source, config.image_size)
    if not SMALLEST <= size <= LARGEST:
        raise UsageError(
            f"{config.name} has images of {size} x {size} pixels, but those of a .beton have {SMALLEST} to {LARGEST} "
            "pixels per side. Give --data.image_size, to which they are resized."
        )
    by_size: Literal["raw", "jpeg"] = "raw" if size < RAW_BELOW else "jpeg"
    encoding = by_size if how.encoding == "auto" else how.encoding
    quality = how.quality if encoding == "jpeg" else None
    train, test = _Part(_chosen(source.train, given.assignment.index), given.assignment.roles), _Part(source.test, None)
    total = len(train.images.names) + len(test.images.names)
    writer, done = BetonWriter(file, total, size, encoding), 0
    for number, part in ((TRAIN, train), (TEST, test)):
        for row, data in _encoded(part.images.images, size, quality):
            if isinstance(data, BadImages):
                part.bad += data.files
            else:
                writer.append(data, 0 if part.roles is None else int(part.roles[row]), len(part.rows), number)
                part.rows.append(row)
            done += 1
            progress(done, total)
    bad = train.bad + test.bad
    if bad and not how.skip_bad:
        raise BadImages(bad)
    if not train.rows:
        raise UsageError(f"{config.name} has no training image that can be read. Give data with readable images.")
    length = writer.finish()
    return Sidecar(
        format="hscl-beton",
        version=1,
        counts=Counts(train=len(train.rows), test=len(test.rows)),
        sha256=_hash(file, lambda: progress(done, total)),
        bytes=length,
        image_size=size,
        encoding=encoding,
        quality=quality,
        class_names=list(source.class_names),
        normal_class=given.classes[0],
        train=TrainColumns(name=train.names, label=train.labels, role=given.assignment.roles[train.rows].tolist()),
        test=TestColumns(name=test.names, label=test.labels),
        origin={"kind": given.kind, "name": config.name, **_settings(config)},
        skipped=[Skipped(file=path, reason=reason) for path, reason in bad],
    )


def _chosen(images: LabelledImages, index: Labels) -> LabelledImages:
    names = tuple(images.names[row] for row in index)
    return LabelledImages(take(images.images, index), images.labels[index], names)


def _settings(config: DataConfig) -> dict[str, object]:
    # Sidecars of data that is searched and decoded as usual have the bytes that they always had.
    later = {"exclude", "follow_links", "bit_depth", "float_white", "max_megapixels"}
    usual = {option.name for option in fields(config) if getattr(config, option.name) == option.default} & later
    return {name: value for name, value in asdict(config).items() if name not in NOT_PREPARED | usual}


def _encoded(images: AnyImages, size: int, quality: int | None) -> Iterator[tuple[int, bytes | BadImages]]:
    """Yield every image's bytes in order, or the error of reading it; a few threads decode ahead."""

    def encode(row: int) -> bytes | BadImages:
        try:
            return _bytes(resize_images(images[row : row + 1], size), quality)
        except BadImages as error:
            return error

    threads = os.cpu_count() or 1
    ahead: deque[Future[bytes | BadImages]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for row in range(len(images)):
            ahead.append(pool.submit(encode, row))
            if len(ahead) > 4 * threads:
                yield row - len(ahead) + 1, ahead.popleft().result()
        while ahead:
            yield len(images) - len(ahead), ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(image: Images, quality: int | None) -> bytes:
    if quality is None:
        return image.tobytes()
    encoded = io.BytesIO()
    Image.fromarray(image[0]).save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()


def _hash(file: BinaryIO, pause: Callable[[], None]) -> str:
    file.flush()
    total = hashlib.sha256()
    with open(file.name, "rb") as written:
        while chunk := written.read(_CHUNK):
            total.update(chunk)
            pause()
    return total.hexdigest()
