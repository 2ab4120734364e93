"""The folder of an evaluation on other test images, outside of any run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hscl_fast.atomic import TEMPORARY, write_text
from hscl_fast.errors import UsageError
from hscl_fast.runs.contents import require_replaceable
from hscl_fast.runs.directory import Results, RunDirectory

MARKER = ".hscl-evaluation"  # a folder with this file is one of an evaluation
_NAMES = rf"{re.escape(MARKER)}|summary\.json|scores\.csv|report\.html|{TEMPORARY}"


class EvaluationFolder(Results):
    """Where the results are; it has no calibration of its own."""

    def require_free(self, directory: RunDirectory, *, overwrite: bool) -> None:
        """Check that results may be written to this path.

        Raises
        ------
        UsageError
            The path lies in the run, or it exists and ``overwrite`` does not allow replacing it.
        """
        run = os.path.realpath(directory.path)
        if os.path.commonpath([run, os.path.realpath(self.path)]) == run:
            raise UsageError(
                f"--out {self.path} lies in the run {directory.path}, which stays as it is. Give another --out."
            )
        if not os.path.lexists(self.path):
            return
        if not overwrite:
            raise UsageError(f"--out {self.path} already exists. Replace it with --overwrite, or give another --out.")
        require_replaceable(self.path, MARKER, "the folder of an evaluation", "evaluation", self._foreign)

    def _foreign(self) -> list[Path]:
        return [
            path
            for path in sorted(self.path.iterdir())
            if path.is_symlink() or path.is_dir() or not re.fullmatch(_NAMES, path.name)
        ]

    @contextmanager
    def writing(self, directory: RunDirectory) -> Iterator[None]:
        """Make the folder with its marker; an error of writing is one of the user's."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = f"This folder is an evaluation, by hscl-fast, of {directory.path.absolute()}.\n"
            write_text(self.path / MARKER, text)
            yield
        except OSError as error:
            raise UsageError(
                f"--out {self.path} cannot be written: {error.strerror or error}. Give a folder that you may write to, "
                "on a disk with free space."
            ) from error
