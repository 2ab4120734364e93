"""A textbook estimator on the unit features of a trained encoder, which stays as it is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.errors import UsageError
from hscl_fast.method.encode import encode_images
from hscl_fast.method.feature_estimators import Rows
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network, build_network

_ENCODER, _ROWS, _NORMAL = "encoder", "rows", "normal"


class FrozenFeaturesComparator(Comparator):
    """What is saved is the encoder and the training images' features, to which the estimator is fitted again.

    Raises
    ------
    UsageError
        The encoder does not begin with trained weights.
    """

    learns_from_labels: ClassVar[bool] = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if not setting.config.model.starts_trained:
            raise UsageError(
                f"--method is {setting.config.method.name!r}, which looks at the features of a trained encoder, but "
                "--model.encoder begins with random weights. Add --model.pretrained true, or --model.weights FILE."
            )

    @abstractmethod
    def estimator(self) -> Any:
        """Return the estimator, untrained, with ``fit(rows, normal)`` and ``decision_function(rows)``."""

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Encode the images, and fit the estimator.

        Raises
        ------
        UsageError
            It learns from labels, and there are not both.
        """
        roles = given.roles
        taken = roles != (UNLABELLED if self.learns_from_labels else ABNORMAL)
        normal = roles[taken] == NORMAL
        if self.learns_from_labels and (normal.all() or not normal.any()):
            missing = "normals" if not normal.any() else "anomalies"
            raise UsageError(
                f"--method is {self.setting.config.method.name!r}, which needs labelled normals and labelled "
                f"anomalies, but the training images have no labelled {missing}. Label some, or use features_knn."
            )
        self._network = self._build(load=True)
        self._learn(self._encode(given.images[taken]), normal)

    def score(self, images: ImageSequence) -> Scores:
        """Return the estimator's score."""
        scores: Scores = self._estimator.decision_function(self._encode(images)).astype(np.float64)
        return scores

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the unit features."""
        return self._encode(images)

    def state(self) -> State:
        """Return the encoder, and the features and labels that the estimator was fitted to."""
        rows, normal = torch.from_numpy(self._rows), torch.from_numpy(self._normal)
        return {_ROWS: rows, _NORMAL: normal, **kept(_ENCODER, self._network.encoder)}

    def load(self, state: State) -> None:
        """Take the encoder, and fit the estimator again."""
        rows, normal = (part_of(state, name).cpu().numpy() for name in (_ROWS, _NORMAL))
        self._network = self._build(load=False)
        restore(_ENCODER, self._network.encoder, state)
        self._learn(rows, normal)

    def _build(self, *, load: bool) -> Network:
        config, size = self.setting.config, self.setting.image_size
        network = build_network(config.model, size, rotation_head=False, seed=config.runtime.seed, load=load)
        return network.to(self.setting.execution.device).to(memory_format=torch.channels_last).eval()

    def _encode(self, images: ImageSequence) -> Rows:
        found = encode_images(
            self._network, images, self.setting.config.augment, self.setting.execution, views=1, seed=0
        )
        rows: Rows = normalize(found.flatten(1).numpy())
        return rows

    def _learn(self, rows: Rows, normal: NDArray[np.bool_]) -> None:
        self._rows, self._normal = rows, normal
        self._estimator = self.estimator().fit(rows, normal)
