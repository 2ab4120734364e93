"""The detector as a scikit-learn estimator."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from rich.console import Console
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from hscl_fast.config.composing import compose_config
from hscl_fast.config.sections import Config
from hscl_fast.console import say, silent
from hscl_fast.data.decode import lazy_files, resize_images
from hscl_fast.data.new_images import ArrayImage, FileImage, NewImage
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import AnyImages
from hscl_fast.data.user.labels import remark_on_labels
from hscl_fast.data.user.passed import passed_images, read_images
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.method.embed import embed_images
from hscl_fast.method.network import Network
from hscl_fast.ranks.group import environment_ranks
from hscl_fast.runs.fitted import Fitted, load_fitted, save_fitted
from hscl_fast.runs.train_run import train_run

# The parameters that are fields of the configuration, and their sections.
FIELDS = {
    "encoder": "model",
    "pretrained": "model",
    "weights": "model",
    "width": "model",
    "embedding_dim": "model",
    "prototypes": "model",
    "image_size": "data",
    "held_out_ratio": "data",
    "temperature": "objective",
    "rotations": "augment",
    "epochs": "optim",
    "max_steps": "optim",
    "batch_size": "optim",
    "learning_rate": "optim",
    "scoring": "evaluate",
    "device": "runtime",
    "precision": "runtime",
    "threads": "runtime",
}
_DATA = ("name", "root", "split_record", "labels")  # fields of the configuration in whose place X is


class HSCLDetector(OutlierMixin, BaseEstimator):
    """Finds anomalous images after training on contaminated, barely labelled ones.

    ``X`` is uint8 ``[n, H, W, 3]``, or ``[n, H, W]`` of grey images, or a list of paths of image files. ``y`` has +1
    for normal, 0 for unlabelled and -1 for abnormal images. A parameter with the name of a field of the configuration
    (docs/options.md) replaces that field; None leaves it to ``config`` and ``recipe``.

    Parameters
    ----------
    recipe
        The defaults: ``cpu``, ``paper``, ``minute``, ``frozen``, ``fast``, ``finetune`` or ``released``. Not used where
        ``config`` is a :class:`~hscl_fast.config.sections.Config`.
    config
        Any other fields: a mapping of sections such as ``{"objective": {"lambda_abnormal": 0.5}}``, the path of a YAML
        file such as the ``config.yaml`` of a run, or a whole ``Config``.
    seed
        Seed of the split, the initial weights and the views: ``data.seed`` and ``runtime.seed``.
    run_dir
        Keep the training as a run directory, with report and checkpoints. It must not exist. None: a temporary one,
        which is removed.
    verbose
        Print what ``hscl train`` prints.
    encoder, pretrained, weights, width, embedding_dim, prototypes
        Fields of ``model``.
    image_size, held_out_ratio
        Fields of ``data``.
    temperature
        Field of ``objective``.
    rotations
        Field of ``augment``.
    epochs, max_steps, batch_size, learning_rate
        Fields of ``optim``.
    scoring
        Field of ``evaluate``.
    device, precision, threads
        Fields of ``runtime``.

    Attributes
    ----------
    network_ : hscl_fast.method.network.Network
        The trained ``torch.nn.Module``, in evaluation mode on its device.
    offset_ : float
        The decision threshold in units of :meth:`score_samples`.
    config_ : hscl_fast.config.sections.Config
        The whole configuration that it was trained with.

    Examples
    --------
    >>> import numpy as np
    >>> from hscl_fast import HSCLDetector
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> images = (digits.images * 15).astype(np.uint8)  # grey, 8 x 8 pixels
    >>> zeros, ones = images[digits.target == 0], images[digits.target == 1]
    >>> X = np.concatenate([zeros[:120], ones[:20]])
    >>> y = np.array([1] * 20 + [0] * 110 + [-1] * 10)  # ten of the ones hide among the unlabelled images
    >>> detector = HSCLDetector("minute", max_steps=20, seed=1).fit(X, y)
    >>> scores = detector.score_samples(np.concatenate([zeros[120:], ones[20:60]]))
    >>> bool(scores[:58].mean() > scores[58:].mean())  # higher is more normal
    True
    >>> detector.predict(X[:2]).shape, detector.embed(X[:2]).shape
    ((2,), (2, 128))
    """

    def __init__(
        self,
        recipe: str = "cpu",
        *,
        config: Config | Mapping[str, Mapping[str, Any]] | str | os.PathLike[str] | None = None,
        seed: int | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        verbose: bool = False,
        encoder: str | None = None,
        pretrained: bool | None = None,
        weights: str | os.PathLike[str] | None = None,
        width: int | None = None,
        embedding_dim: int | None = None,
        prototypes: int | None = None,
        image_size: int | None = None,
        held_out_ratio: float | None = None,
        temperature: float | None = None,
        rotations: int | None = None,
        epochs: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        scoring: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.recipe, self.config, self.seed, self.run_dir, self.verbose = recipe, config, seed, run_dir, verbose
        self.encoder, self.pretrained, self.weights, self.width = encoder, pretrained, weights, width
        self.embedding_dim, self.prototypes = embedding_dim, prototypes
        self.image_size, self.held_out_ratio = image_size, held_out_ratio
        self.temperature, self.rotations = temperature, rotations
        self.epochs, self.max_steps, self.batch_size, self.learning_rate = epochs, max_steps, batch_size, learning_rate
        self.scoring, self.device, self.precision, self.threads = scoring, device, precision, threads

    def fit(self, X: Any, y: npt.ArrayLike | None = None) -> Self:
        """Train on images: split off held-out ones, train, calibrate the score and fit the threshold.

        Parameters
        ----------
        X
            uint8 ``[n, H, W, 3]``, or ``[n, H, W]`` of grey images, or n paths. The labels of some are enough.
        y
            ``[n]``: +1 normal, 0 unlabelled, -1 abnormal. None: all are unlabelled.

        Returns
        -------
        HSCLDetector
            Itself.

        Raises
        ------
        UsageError
            An image, a label or a parameter is not as expected, or ``run_dir`` exists.
        KeyboardInterrupt
            A signal stopped the training, which is saved in ``run_dir`` if there is one.
        """
        if environment_ranks().size > 1:
            raise UsageError(
                "HSCLDetector.fit trains in one process, but torchrun started several. Use train_run or `hscl train`, "
                "then HSCLDetector.load."
            )
        images = passed_images(X, y, keep=self.run_dir is not None)
        config = self._compose()
        console = Console() if self.verbose else silent()
        for remark in () if self.verbose else remark_on_labels(images.roles):  # the console shows them
            warnings.warn(remark.text, stacklevel=2)
        with self._run_folder() as folder:
            try:
                run = train_run(config, folder, images=images, console=console)
            except Interrupted as stopped:
                if self.run_dir is None:
                    say(console, "The run was temporary and is removed. Give run_dir= to continue one.")
                # Not an Exception, which cross_val_score would take for a failed fit.
                raise KeyboardInterrupt(str(stopped)) from stopped
            self._take(load_fitted(run.path))
        return self

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """Return how normal images are, float64 ``[n]``: higher is more normal.

        It is minus the ``anomaly_score`` of ``hscl predict``. Images are resized to the size that was trained on.
        """
        fitted, images = self._fitted_images(X)
        scores = fitted.scoring.score(images)
        if not np.isfinite(scores).all():
            place = int((~np.isfinite(scores)).argmax())
            raise UsageError(
                f"The score of X[{place}] is {scores[place]}, which is not a finite number. Train again with a lower "
                "learning_rate, or with precision='float32'."
            )
        return scores

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Return ``score_samples(X) - offset_``, float64 ``[n]``: below 0 is abnormal."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return +1 for normal and -1 for abnormal images, int64 ``[n]``."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def fit_predict(self, X: Any, y: npt.ArrayLike | None = None) -> npt.NDArray[np.int64]:
        """Return what :meth:`predict` says of the training images after :meth:`fit`."""
        return self.fit(X, y).predict(X)

    def embed(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the embeddings of images, float32 ``[n, D]`` of length 1: what the objective was computed on."""
        fitted, images = self._fitted_images(X)
        scoring = fitted.scoring
        return embed_images(scoring.network, images, scoring.augment, scoring.execution, scoring.batch_size)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted detector into a new folder, which ``hscl predict`` also takes for a run.

        It has weights (safetensors), threshold and configuration (JSON and YAML), but no images.

        Raises
        ------
        UsageError
            ``path`` exists, or cannot be written.
        """
        check_is_fitted(self)
        save_fitted(self._fitted.with_threshold(-self.offset_), path)

    def export(self, path: str | os.PathLike[str], X: Any, *, overwrite: bool = False) -> None:
        """Write the fitted detector as one file that scores without this package: ``.onnx``, or ``.pt2`` of torch.

        Parameters
        ----------
        path
            The file.
        X
            Images like those to score, on up to 100 of which the file is compared with the detector.
        overwrite
            Whether an existing file may be replaced.

        Raises
        ------
        UsageError
            A score differs by more than 1e-4, or a decision, so that no file is left; ``path`` exists or cannot be
            written; a package is missing.
        """
        from hscl_fast.export.export_run import export_run  # which few programs need

        check_is_fitted(self)
        read = read_images(X)
        images: list[NewImage] = (
            [ArrayImage(f"X[{row}]", read, row) for row in range(len(read))]
            if isinstance(read, np.ndarray)
            else [FileImage(Path(path)) for path in read]
        )
        with tempfile.TemporaryDirectory(prefix="hscl-") as folder:
            self.save(Path(folder, "detector"))
            export_run(Path(folder, "detector"), at_home(path), images=images, overwrite=overwrite)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: str | None = None, evaluation: str | None = None
    ) -> HSCLDetector:
        """Return the fitted detector that :meth:`save` wrote, or that of a run directory of ``hscl train``.

        Its parameter ``config`` is the whole configuration of the training; the others have their defaults.

        Parameters
        ----------
        path
            The folder. Nothing in it is unpickled.
        device
            Where to score, such as ``cpu``; None: as trained.
        evaluation
            Of a run: the name of an evaluation whose score and threshold are used; None: the run's own.

        Raises
        ------
        UsageError
            The folder is not a trained and evaluated run, or a file in it is damaged.
        """
        fitted = load_fitted(path, device=device, evaluation=evaluation)
        detector = cls(config=fitted.config)
        detector._take(fitted)
        return detector

    def _compose(self) -> Config:
        """Return the configuration that the parameters describe."""
        data = self.config.get("data") if isinstance(self.config, Mapping) else None
        if isinstance(data, Mapping) and (given := [name for name in _DATA if name in data]):
            raise UsageError(
                f"config has data.{given[0]}, but the images are those that fit is given. Remove it, or train on "
                "files with train_run."
            )
        single: dict[str, dict[str, Any]] = {"data": {"name": "X", "root": None, "split_record": None, "labels": None}}
        for name, section in FIELDS.items():
            value = getattr(self, name)
            if value is not None:
                single.setdefault(section, {})[name] = _plain(value)
        if self.seed is not None:
            single["data"]["seed"] = _plain(self.seed)
            single.setdefault("runtime", {})["seed"] = _plain(self.seed)
        config = compose_config(self.recipe, self.config, single, type(self).__name__)
        if not config.method.is_hscl:
            raise UsageError(
                f"method.name is {config.method.name!r}, but HSCLDetector is the detector of hscl. Train another one "
                "with train_run, and score with predict_run."
            )
        return config

    @contextmanager
    def _run_folder(self) -> Iterator[Path]:
        if self.run_dir is not None:
            path = at_home(self.run_dir)
            if os.path.lexists(path):
                raise UsageError(f"run_dir {path} already exists. Give another path, or remove it first.")
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="hscl-") as folder:
            yield Path(folder, "run")

    def _take(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self.network_: Network = fitted.scoring.network
        self.offset_ = -fitted.calibration.threshold
        self.config_ = fitted.config

    def _fitted_images(self, X: Any) -> tuple[Fitted, AnyImages]:
        check_is_fitted(self)
        images, decoding = read_images(X), self._fitted.decoding
        if isinstance(images, np.ndarray):
            return self._fitted, resize_images(images, decoding.size)
        return self._fitted, lazy_files([Path(path) for path in images], decoding)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if "_fitted" in state:
            del state["network_"]
            state["_fitted"] = self._fitted.plain()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_fitted" in state:
            self._fitted = Fitted.from_plain(state["_fitted"])
            self.network_ = self._fitted.scoring.network


def _plain(value: Any) -> Any:
    """Return NumPy's numbers, which a grid of parameters has, as Python's, and paths as text."""
    return value.item() if isinstance(value, np.generic) else os.fspath(value) if isinstance(value, Path) else value
