"""The files that a split's images were made of, to show them to people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.decode import load_shrunk
from hscl_fast.data.kinds import files_root
from hscl_fast.data.types import FILE_KINDS, Decoding, Images, Kind


@dataclass(frozen=True)
class Originals:
    """Image files by their names in a split.

    Parameters
    ----------
    folder
        The folder that the names are relative to.
    decoding
        How the files are decoded.
    """

    folder: Path
    decoding: Decoding

    def path(self, name: str) -> Path:
        """Return the file of an image."""
        return self.folder / name

    def load(self, name: str, longest: int) -> Images:
        """Return an image uint8 [h, w, 3], shrunk to at most ``longest`` pixels per side.

        Raises
        ------
        BadImages
            The file is gone or cannot be read.
        """
        return load_shrunk(self.path(name), self.decoding, longest)


def originals_of(config: DataConfig, kind: Kind, decoding: Decoding | None) -> Originals | None:
    """Return the files of a user's own data.

    Parameters
    ----------
    config
        The ``data`` section of the configuration.
    kind, decoding
        Of its split record and of its split.

    Returns
    -------
    Originals or None
        None for images that lie in arrays, which have no files.
    """
    if kind not in FILE_KINDS or decoding is None:
        return None
    return Originals(files_root(config, kind).absolute(), decoding)
