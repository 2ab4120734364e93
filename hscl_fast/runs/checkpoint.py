"""Reads and writes checkpoints: safetensors for weights, a weights-only pickle for the optimizer's state.

A directory holds ``checkpoint.json``, which names its files with their SHA-256, and those files. A new checkpoint is
written beside the old one and takes its place when ``checkpoint.json`` is renamed, so a crash or a full disk at any
moment leaves the previous one intact.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from hscl_fast.atomic import TEMPORARY, write_bytes, write_json
from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited
from hscl_fast.pickle_operations import check_operations
from hscl_fast.strict_json import Sha256, StrictModel, VersionOne, read_strict

MANIFEST = "checkpoint.json"
_FORMAT = 1
_LARGEST = 8 << 30  # bytes of a file
_CALLED = r"torch\._utils _rebuild_tensor_v2|torch \w+Storage|collections OrderedDict"  # in a saved state
_NAME = r"(weights|state)-[0-9a-f]{16}\.(safetensors|pt)"


class NoCheckpoint(UsageError):
    """There is no checkpoint where one was expected."""


class DamagedCheckpoint(UsageError):
    """A checkpoint that cannot be trusted.

    Parameters
    ----------
    directory
        Where it is.
    reason
        What is wrong with it.
    """

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"The checkpoint in {directory} is damaged: {reason}. Restore it from a copy, use the run's other "
            "checkpoint (last or best), or train again with --overwrite."
        )
        self.reason = reason


class _File(StrictModel):
    name: Annotated[str, Field(pattern=rf"^{_NAME}$")]
    sha256: Sha256


class _Manifest(StrictModel):
    """The checkpoint manifest, ``checkpoint.json``."""

    format: VersionOne
    files: dict[Literal["weights", "state"], _File]
    info: dict[str, Any]


class Checkpoint(NamedTuple):
    """``weights`` by name, ``state`` of the training step (None if not requested or absent), and ``info`` as saved."""

    weights: dict[str, Tensor]
    state: dict[str, Any] | None
    info: dict[str, Any]


def save_checkpoint(
    directory: Path, *, weights: dict[str, Tensor], info: dict[str, Any], state: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint of training: see :func:`write_checkpoint`.

    Raises
    ------
    UsageError
        The disk is full or not writable; the previous checkpoint is still there.
    """
    try:
        write_checkpoint(directory, weights=weights, info=info, state=state)
    except OSError as error:
        raise UsageError(
            f"The checkpoint in {directory} could not be written: {error.strerror or error}. The previous "
            "checkpoint, if any, is intact. Free some space or make the directory writable, then continue with "
            "--resume."
        ) from error


def write_checkpoint(
    directory: Path, *, weights: dict[str, Tensor], info: dict[str, Any], state: dict[str, Any] | None = None
) -> None:
    """Write a checkpoint, then delete the one it replaces, and what killed processes have left.

    Parameters
    ----------
    directory
        Created if missing.
    weights
        Tensors by name.
    info
        JSON values (the step, the best AUROC so far, ...).
    state
        Tensors and plain values that ``torch.load(weights_only=True)`` can read.

    Raises
    ------
    OSError
        The disk is full or not writable; the previous checkpoint is still there.
    """
    contents = {"weights": (".safetensors", safetensors.torch.save(_contiguous(weights)))}
    if state is not None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        contents["state"] = (".pt", buffer.getvalue())
    files = {}
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kind, (suffix, data) in contents.items():
            digest = hashlib.sha256(data).hexdigest()
            # Files are named by their content, so those of the previous checkpoint are never overwritten.
            path = directory / f"{kind}-{digest[:16]}{suffix}"
            written += [] if path.exists() else [path]
            write_bytes(path, data)
            files[kind] = {"name": path.name, "sha256": digest}
        write_json(directory / MANIFEST, {"format": _FORMAT, "files": files, "info": info})
    except OSError:
        # The manifest may be in place: a disk can fail after the renaming, when the folder's entries are flushed.
        with suppress(OSError):
            manifest = (directory / MANIFEST).read_bytes() if (directory / MANIFEST).exists() else b""
            for path in written:
                if path.name.encode() not in manifest:
                    _remove(path)
        raise
    kept = {file["name"] for file in files.values()}
    for path in directory.iterdir():
        if re.fullmatch(rf"{_NAME}|{TEMPORARY}", path.name) and path.name not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a file that no checkpoint needs; if that fails, the next checkpoint tries it again."""
    with suppress(OSError):
        path.unlink()


def load_checkpoint(directory: Path, *, with_state: bool = False) -> Checkpoint:
    """Read a checkpoint onto the CPU, verifying every byte; nothing in it is executed.

    Raises
    ------
    NoCheckpoint
        It is missing.
    DamagedCheckpoint
        It is damaged, or holds something other than tensors and plain values.
    """
    manifest = _read_manifest(directory)
    content = _read_verified(directory, manifest, "weights")
    try:
        weights = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:  # of a type torch lacks, too
        raise DamagedCheckpoint(directory, f"the weights are not a safetensors file ({error})") from error
    state = None
    if with_state:
        if "state" not in manifest.files:
            raise DamagedCheckpoint(directory, "it has weights but no training state, so it cannot be resumed")
        data = _read_verified(directory, manifest, "state")
        try:
            _require_plain_archive(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's advice on how to load a file that is refused here
                state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception as error:  # the restricted unpickler and the zip reader raise many types
            reason = "its training state holds something other than tensors and plain values, which was not executed"
            raise DamagedCheckpoint(directory, reason) from error
        if not isinstance(state, dict):
            raise DamagedCheckpoint(directory, f"its training state is a {type(state).__name__}, expected a dictionary")
    return Checkpoint(weights, state, manifest.info)


def _require_plain_archive(data: bytes) -> None:
    """Raise a ValueError unless a saved state takes no more memory than bytes, which compression and calls allow."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("it is compressed")
        pickled = [member for member in members if member.filename.endswith(".pkl")]
        called = {name for member in pickled for name in check_operations(archive.read(member))}
        if unknown := {name for name in called if not re.fullmatch(_CALLED, name)}:
            raise ValueError(f"it calls {min(unknown)}")


def _contiguous(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}


def _read_manifest(directory: Path) -> _Manifest:
    path = directory / MANIFEST
    if not path.exists():
        raise NoCheckpoint(
            f"There is no checkpoint in {directory}: {MANIFEST} is missing. Train first, or give a run that has been "
            "trained."
        )
    return read_strict(path, _Manifest, lambda reason: DamagedCheckpoint(directory, f"in {MANIFEST}, {reason}"))


def _read_verified(directory: Path, manifest: _Manifest, kind: str) -> bytes:
    file = manifest.files.get(kind)  # type: ignore[call-overload]
    if file is None:
        raise DamagedCheckpoint(directory, f"{MANIFEST} does not name a {kind} file")
    try:
        data = read_limited(directory / file.name, _LARGEST)
    except OSError as error:
        raise DamagedCheckpoint(directory, f"{file.name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DamagedCheckpoint(directory, f"the bytes of {file.name} do not match their SHA-256")
    return data
