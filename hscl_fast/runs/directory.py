"""The files of a run directory, and the rules for creating, replacing and reading them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from hscl_fast.atomic import write_json, write_text
from hscl_fast.config.parsing import from_dict, to_dict
from hscl_fast.config.sections import Config, DataConfig
from hscl_fast.config.yaml_text import read_yaml
from hscl_fast.data.bad_images import skipped_csv
from hscl_fast.data.paths import at_home
from hscl_fast.data.split.record import write_record
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import Remark
from hscl_fast.data.user.passed import PassedImages
from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited
from hscl_fast.runs.contents import (
    EVALUATION_NAME,
    MARKER,
    foreign_entries,
    is_unfinished,
    remove_contents,
    require_replaceable,
)
from hscl_fast.runs.environment import environment
from hscl_fast.runs.label_history import LABEL_HISTORY, PastLabel, history_csv, read_history, with_new_labels
from hscl_fast.runs.lock import RunLock

_LARGEST_METRICS = 64 << 20  # bytes
_LARGEST_FIGURE = 1e30  # what can be drawn and averaged


@dataclass(frozen=True)
class Results:
    """Where the results of one evaluation are.

    Attributes
    ----------
    path
        Their folder.
    """

    path: Path

    @property
    def summary(self) -> Path:
        """The figures."""
        return self.path / "summary.json"

    @property
    def scores(self) -> Path:
        """The score of every test image."""
        return self.path / "scores.csv"

    @property
    def report(self) -> Path:
        """The report, a self-contained web page."""
        return self.path / "report.html"

    @property
    def suspects(self) -> Path:
        """The ranking of all unlabelled training images."""
        return self.path / "suspects.csv"

    @property
    def suspects_page(self) -> Path:
        """The most suspicious of them, a self-contained web page."""
        return self.path / "suspects.html"

    @property
    def calibration(self) -> Path:
        """Threshold and scoring constants, which ``hscl predict`` uses."""
        return self.path / "calibration"


@dataclass(frozen=True)
class RunDirectory(Results):
    """Where a run keeps its configuration, its record, its checkpoints and its results.

    The results beside them are those of the run's own evaluation, with which training ends; other evaluations have
    folders of their own.
    """

    @property
    def config(self) -> Path:
        """The resolved configuration, which runs the same training again."""
        return self.path / "config.yaml"

    @property
    def split(self) -> Path:
        """The split record."""
        return self.path / "split.json"

    @property
    def skipped(self) -> Path:
        """The files that were left out because they cannot be read as images; absent if there are none."""
        return self.path / "skipped.csv"

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is worth saying about the data of the run, beside what its split says."""
        if not self.skipped.exists():
            return ()
        return (Remark(f"files that cannot be read were left out when the run began: {self.skipped} lists them", True),)

    @property
    def metrics(self) -> Path:
        """One JSON object per line, one line every ``record.log_every`` steps."""
        return self.path / "metrics.jsonl"

    @property
    def data(self) -> Path:
        """The images that a program gave in place of the path of data, or the list of their files."""
        return self.path / "data"

    @property
    def features(self) -> Path:
        """The features of the images by a frozen encoder, with ``augment.cached_views``."""
        return self.path / "features"

    def checkpoint(self, name: str) -> Path:
        """The directory of checkpoint ``last`` or ``best``."""
        return self.path / "checkpoints" / name

    @property
    def evaluations(self) -> Path:
        """The folder of the other evaluations."""
        return self.path / "evaluations"

    def evaluation(self, name: str) -> Results:
        """Return the results of an evaluation by its name.

        Raises
        ------
        UsageError
            The name is not one of letters, digits, dots, hyphens, underscores and plus signs.
        """
        if not re.fullmatch(EVALUATION_NAME, name):
            raise UsageError(
                f"--name is {name!r}, but may have only letters, digits, dots, hyphens, underscores and plus "
                "signs, up to 200, and must begin with a letter or digit. Give another name."
            )
        return Results(self.evaluations / name)

    @property
    def is_run(self) -> bool:
        """Whether the directory has the marker of a run."""
        return (self.path / MARKER).is_file()

    def require_free(self, *, overwrite: bool) -> None:
        """Check that a run may be written to this path.

        Raises
        ------
        UsageError
            The path exists, and ``overwrite`` does not allow replacing it.
        """
        if not self.path.exists() and not self.path.is_symlink():
            return
        if not overwrite:
            raise UsageError(
                f"--out {self.path} already exists. Continue it with --resume, replace it with --overwrite, or give "
                "another --out."
            )
        require_replaceable(self.path, MARKER, "a run directory", "run", lambda: foreign_entries(self.path))

    @property
    def review_page(self) -> Path:
        """The page on which unlabelled images are labelled, by ``hscl review``."""
        return self.path / "review.html"

    @property
    def label_history(self) -> Path:
        """The labels that people gave in this and in earlier rounds; absent if they gave none."""
        return self.path / LABEL_HISTORY

    def require_other_data(self, config: Config, images: PassedImages | None) -> None:
        """Raise a :class:`UsageError` where a run would be replaced together with the data that it is to train on."""
        inside, data = os.path.abspath(self.data), os.path.abspath(at_home(config.data.name))
        if images is None and os.path.commonpath((inside, data)) == inside:
            raise UsageError(
                f"--data.name is {config.data.name}, which belongs to the run --out {self.path} and would be removed "
                "with it. Give another --out."
            )

    def create(
        self, config: Config, split: Split, lock: RunLock, *, overwrite: bool, images: PassedImages | None = None
    ) -> None:
        """Create the directory, locked, and write what is known before training: configuration, environment, split.

        ``images`` are those that a program gave, which the run keeps.

        A run that is replaced loses the files that runs write, and no others. The configuration is removed first and
        written last, so that a run which has one can be resumed.
        """
        self.require_free(overwrite=overwrite)
        history = with_new_labels(_history_before(config), split, self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=overwrite)
            lock.acquire()
            write_text(self.path / MARKER, "This folder is a run of hscl-fast.\n")
            self.config.unlink(missing_ok=True)
            remove_contents(self.path)
            write_json(self.path / "env.json", environment())
            write_record(split.record, self.split)
            if split.skipped:
                write_text(self.skipped, skipped_csv(split.skipped))
            if history:
                write_text(self.label_history, history_csv(history))
            if images is not None:
                images.write(self.data)
            self._write_config(config)
        except OSError as error:
            raise UsageError(
                f"--out {self.path} cannot be written: {error.strerror or error}. Give a directory that you may write "
                "to on a disk with free space."
            ) from error

    def save_config(self, config: Config) -> None:
        """Write the configuration, in place of the one before."""
        try:
            self._write_config(config)
        except OSError as error:
            raise self._not_writable(self.config, error) from error

    def _write_config(self, config: Config) -> None:
        write_text(self.config, yaml.safe_dump(to_dict(config), sort_keys=False))

    def _not_writable(self, path: Path, error: OSError) -> UsageError:
        return UsageError(
            f"{path} cannot be written: {error.strerror or error}. Free some space or make the directory writable, "
            "then continue with --resume."
        )

    def require_run(self) -> None:
        """Raise a :class:`UsageError` unless this is the directory of a run."""
        if self.is_run:
            return
        begun = " If a run was stopped here before it began, start it again with --overwrite."
        raise UsageError(
            f"{self.path} is not a run directory: it has no {MARKER}. Give the directory that `hscl train` printed "
            f"as its run.{begun if is_unfinished(self.path) else ''}"
        )

    def require_no_way_out(self) -> None:
        """Raise a :class:`UsageError` where a link would lead what is written to the run out of it."""
        inside = os.path.realpath(self.path)
        for parent, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                path = os.path.join(parent, name)
                if os.path.islink(path) and os.path.commonpath((inside, os.path.realpath(path))) != inside:
                    raise UsageError(
                        f"{path} is a link that leads out of the run {self.path}, so nothing is written to the run. "
                        "Put the file or folder itself in place of the link."
                    )

    def load_config(self) -> Config:
        """Return the configuration saved in the run.

        Raises
        ------
        UsageError
            It is not a run, or its ``config.yaml`` is not a valid configuration.
        """
        self.require_run()
        try:
            plain = read_yaml(self.config)
        except FileNotFoundError as error:
            raise UsageError(
                f"{self.path} has no {self.config.name}, because the run was stopped before it began to train, or the "
                "file was removed. Restore the file from a copy, or train again with `hscl train DATA --out "
                f"{self.path} --overwrite`."
            ) from error
        except (yaml.YAMLError, UnicodeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UsageError(f"{self.config} is not readable YAML: {reason}. Restore it from a copy.") from error
        return from_dict(plain, str(self.config))

    def recorded_data(self, config: Config) -> DataConfig:
        """Return the data section with the run's own split record, so that the split is the same, image by image.

        Labels that were given when the run began are in the record.

        Raises
        ------
        UsageError
            The run has no split record.
        """
        if not self.split.exists():
            raise UsageError(
                f"{self.path} has no {self.split.name}, so it is not known which images it was trained on, and it can "
                "neither be resumed nor evaluated again: HSCLDetector.save keeps no images. Score new images with "
                "`hscl predict`, or restore the file from a copy."
            )
        return replace(config.data, split_record=str(self.split), labels=None)

    def truncate_metrics(self, step: int) -> None:
        """Drop the rows of ``metrics.jsonl`` after a step, so that a resumed run writes each row once."""
        if not self.metrics.exists():
            return
        rows = [row for row in self.read_metrics() if row["step"] <= step]
        try:
            write_text(self.metrics, "".join(json.dumps(row) + "\n" for row in rows))
        except OSError as error:
            raise self._not_writable(self.metrics, error) from error

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a row to ``metrics.jsonl``."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")
        except OSError as error:
            raise self._not_writable(self.metrics, error) from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the rows of ``metrics.jsonl``; a last line cut short by a crash is ignored."""
        rows: list[dict[str, Any]] = []
        if not self.metrics.exists():
            return rows
        try:
            text = read_limited(self.metrics, _LARGEST_METRICS).decode("utf-8", errors="replace")
        except OSError as error:
            raise UsageError(
                f"{self.metrics} cannot be read ({error.strerror}). Restore it from a copy, or delete it."
            ) from error
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and type(row.get("step")) is int and all(map(_is_plotted, row.values())):
                rows.append(row)
        return rows


def _history_before(config: Config) -> list[PastLabel]:
    """Return the history of labels that lies beside the split record which a run begins from."""
    record = config.data.split_record
    return [] if record is None else read_history(Path(record).with_name(LABEL_HISTORY))


def _is_plotted(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) <= _LARGEST_FIGURE)
