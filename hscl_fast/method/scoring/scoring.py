"""Runs images through the network in batches, reading ahead, and scores them with one score or a sum of several."""

from __future__ import annotations

import functools
import hashlib
import operator
from collections.abc import Callable, Iterator
from typing import Self, TypeGuard, TypeVar

import numpy as np
import torch
from hscl_kernels import augment_views
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.compiling import compile_whole
from hscl_fast.config.scores import ScoreName, parse_scoring
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.errors import UsageError
from hscl_fast.method.encode import EncodedImages
from hscl_fast.method.image_batches import Advance, ImageSequence, ignore, on_device, slices
from hscl_fast.method.network import Features, Network
from hscl_fast.method.scoring.pixels import shrunk_pixels
from hscl_fast.method.scoring.prototypes import PrototypeScore
from hscl_fast.method.scoring.registry import SCORES
from hscl_fast.method.scoring.score import Score, Shape, Training
from hscl_fast.method.scoring.views import Outputs, Views, ViewSet

Scores = NDArray[np.float64]
_Values = TypeVar("_Values", Scores, Tensor)
_Forward = Callable[[Network, Tensor, torch.dtype], Features]
# By the method that computed it, which several scores may have inherited from one class.
_Evidence = dict[object, Tensor]


class Scoring:
    """Scores images with a trained network: by one score, or by the sum of several standardised ones.

    The network runs once per batch, on the views that all the scores need together; of :class:`EncodedImages` only its
    heads, unless a score needs more than the upright features. In a sum each score is taken minus its mean over the
    training images and divided by their standard deviation.

    Parameters
    ----------
    name
        The score, or the scores joined by ``+``.
    network
        The trained network, in evaluation mode on its device.
    execution
        Device, precision and compile mode. If compiled, an incomplete last batch is padded, so that nothing is compiled
        again for it.
    batch_size
        Images per batch; a score with several views per image uses fewer.
    augment
        How the training views are drawn.

    Attributes
    ----------
    name
        The score, or the scores in the order of the registry.
    views
        The views of an image that go through the network.
    passes
        Their number.
    sees_pixels, sees_network
        Whether a score is computed from the images themselves, and whether one is from the network's outputs.
    images_per_batch
        Images per batch.
    on_features
        Called with the encoder's features of the upright views of every batch, float32 ``[B, F]``, where some score
        needs upright views; None calls nothing.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        execution: Execution,
        batch_size: int,
        augment: AugmentConfig,
    ) -> None:
        names = parse_scoring(name)
        self.name = "+".join(names)
        self.network, self.execution, self.augment, self.batch_size = network, execution, augment, batch_size
        self._scores: dict[ScoreName, Score] = {name: SCORES[name](network) for name in names}
        self.views = ViewSet.of({score.views for score in self._scores.values()})
        self.passes = self.views.rows
        self.sees_pixels = any(score.sees_pixels for score in self._scores.values())
        self.sees_network = not all(score.sees_pixels for score in self._scores.values())
        self.images_per_batch = max(1, batch_size // self.views.shrink_batch)
        self.on_features: Callable[[Tensor], object] | None = None
        # Mean and standard deviation over the training images of each score, and its values there.
        self._standards: dict[ScoreName, tuple[float, float]] = {}
        self._known: dict[ScoreName, Scores] = {}
        self._training: dict[object, Training] = {}  # by the kind of evidence

    @property
    def constants(self) -> dict[str, Tensor]:
        """Everything learned, float32; in a sum a score's constants have its name and a dot before theirs."""
        if len(self._scores) == 1:
            return next(iter(self._scores.values())).constants
        own = {f"{name}.{key}": x for name, score in self._scores.items() for key, x in score.constants.items()}
        center, scale = torch.tensor([self._standards[name] for name in self._scores], dtype=torch.float32).T
        return own | {"center": center, "scale": scale}

    @torch.inference_mode()
    def calibrate(
        self,
        images: ImageSequence,
        advance: Advance = ignore,
        *,
        normal: NDArray[np.bool_] | None = None,
        anomalies: ImageSequence | None = None,
    ) -> Self:
        """Compute the constants from the training images, in one pass over them.

        Parameters
        ----------
        images
            uint8 ``[n, H, W, 3]``, all but the labelled anomalies.
        advance
            Called with the number of ``images`` of every batch.
        normal
            bool ``[n]``, True for the labelled normals; None if there are none.
        anomalies
            uint8 ``[m, H, W, 3]``, the labelled anomalies; None if there are none.

        Raises
        ------
        UsageError
            The network's outputs are not finite.
        """
        known = self._gather(images, advance)
        abnormal = {} if anomalies is None or not len(anomalies) else self._gather(anomalies, ignore)
        flags = torch.zeros(len(images), dtype=torch.bool) if normal is None else torch.from_numpy(normal)
        flags = flags.to(self.execution.device)
        for name, score in self._scores.items():
            kind = type(score).evidence
            self._training[kind] = Training(known[kind], flags, abnormal.get(kind))
            score.constants = score.learn(self._training[kind])
            values = score.score_known(known[kind]).double().cpu().numpy()
            self._known[name] = values
            # Rounded as they are saved, so that a score is the same when it is loaded.
            center, scale = (float(np.float32(x)) for x in (values.mean(), values.std()))
            self._standards[name] = center, scale or 1.0
        return self

    def use(self, constants: dict[str, Tensor]) -> None:
        """Take the constants of an earlier :meth:`calibrate`, on any device.

        Raises
        ------
        ValueError
            They are not those of this scoring and network; the message is a predicate such as ``has no anomaly``.
        """
        expected = self._shapes()
        if constants.keys() != expected.keys():
            raise ValueError(f"has the constants {sorted(constants)}, expected {sorted(expected)}")
        for name, tensor in constants.items():
            _check(name, tensor, expected[name])
        moved = {name: tensor.to(self.execution.device) for name, tensor in constants.items()}
        if len(self._scores) == 1:
            next(iter(self._scores.values())).constants = moved
            return
        if not (constants["scale"] > 0).all():
            raise ValueError("has a scale that is not positive")
        for name, score in self._scores.items():
            score.constants = {key: moved[f"{name}.{key}"] for key in score.constant_shapes()}
        pairs = zip(constants["center"].tolist(), constants["scale"].tolist(), strict=True)
        self._standards = dict(zip(self._scores, pairs, strict=True))

    def narrowed(self, name: str) -> Scoring:
        """Return the calibrated scoring by some of the scores, which needs no more views than they do."""
        other = Scoring(name, self.network, self.execution, self.batch_size, self.augment)
        other.on_features = self.on_features
        for each in other._scores:
            other._scores[each] = self._scores[each]
            if each in self._standards:
                other._standards[each] = self._standards[each]
            if each in self._known:
                other._known[each] = self._known[each]
        other._training = self._training
        return other

    def without_crops(self) -> Scoring:
        """Return the scoring by the scores that look at no random crops; by ``paper`` if all of them do."""
        names = [name for name, score in self._scores.items() if score.views is not Views.CROPS]
        if not names:
            return Scoring("paper", self.network, self.execution, self.batch_size, self.augment)
        return self if len(names) == len(self._scores) else self.narrowed("+".join(names))

    def differentiable(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores that can be differentiated down to the views, in float32 and without compilation.

        Parameters
        ----------
        images
            uint8 ``[B, H, W, 3]`` on the device.

        Returns
        -------
        Tensor
            ``[B]``, higher = more normal.
        Tensor
            The views ``[passes * B, 3, H, W]``, view by view.
        """
        mean, std = self.network.statistics
        parameters = self.views.parameters(images, self.augment)
        backend = self.augment.backend
        views = augment_views(images, parameters, dtype=torch.float32, mean=mean, std=std, backend=backend)
        views.requires_grad_()
        # Not through the network itself, which differentiates no frozen encoder.
        found = self.network.heads(self.network.encoder(views))
        outputs = self.views.split(found, len(images), self._pixels(images))
        parts = []
        for name, score in self._scores.items():
            # Constants that were just calibrated are tensors of inference mode, through which no gradient goes.
            score.constants = {key: x.clone() if x.is_inference() else x for key, x in score.constants.items()}
            center, scale = self._standards.get(name, (0.0, 1.0)) if len(self._scores) > 1 else (0.0, 1.0)
            parts.append((score.score(score.evidence(outputs)) - center) / scale)
        return torch.stack(parts).sum(dim=0), views

    def score(self, images: ImageSequence, advance: Advance = ignore) -> Scores:
        """Return the score of every image: uint8 ``[n, H, W, 3]`` -> float64 ``[n]``, higher = more normal."""
        return self.summed(self.score_each(images, advance))

    def score_batches(self, batches: Iterator[NDArray[np.uint8]], advance: Advance = ignore) -> Scores:
        """Return the score of every image of batches, as :meth:`score` does.

        All batches must have ``images_per_batch`` images but the last one, which may have fewer.
        """
        twins = _Twins()
        return self.summed(self._score_each(self._evidence_of(map(twins.noted, batches), advance), twins))

    def score_each(self, images: ImageSequence, advance: Advance = ignore) -> dict[ScoreName, Scores]:
        """Return what each score says of every image, before it is standardised."""
        twins = _Twins()
        batches = map(twins.noted, slices(images, self.images_per_batch))
        if self._has_seen(images):
            return self._score_each(self._evidence_of_seen(images, advance, batches), twins)
        return self._score_each(self._evidence_of(batches, advance), twins)

    def summed(self, each: dict[ScoreName, _Values]) -> _Values:
        """Return the score, from what each of its scores says."""
        if len(self._scores) == 1:
            return each[next(iter(self._scores))]
        parts = []
        for name in self._scores:
            center, scale = self._standards[name]
            parts.append((each[name] - center) / scale)
        return functools.reduce(operator.add, parts)

    def of_outputs(self, outputs: Outputs) -> Tensor:
        """Return the score of every image from the network's outputs for its views: float64 ``[B]``."""
        evidence = self._evidence(outputs)
        each = {name: score.score(evidence[type(score).evidence]).double() for name, score in self._scores.items()}
        return self.summed(each)

    def score_known(self, images: ImageSequence, advance: Advance = ignore) -> Scores:
        """Return the scores of the images that it was calibrated on, in the same order, as if each were new."""
        return self.known_scores if self._known else self.score(images, advance)

    @property
    def known_scores(self) -> Scores:
        """The scores of the images that it was calibrated on, as if each were new."""
        return self.summed(self._known)

    @torch.inference_mode()
    def score_left_out(self, groups: NDArray[np.int64]) -> dict[ScoreName, Scores]:
        """Return what each score says of images that it was calibrated on, learned again without them.

        Parameters
        ----------
        groups
            int64 ``[n]``, of the images of :meth:`calibrate`. Those of one group are left out together; those of the
            group -1 never are, and have no score.

        Returns
        -------
        dict
            float64, the scores of the images of the other groups, in their order.
        """
        places = torch.from_numpy(groups).to(self.execution.device)
        found: dict[ScoreName, Scores] = {}
        for name, score in self._scores.items():
            training = self._training[type(score).evidence]
            values, constants = torch.zeros(len(groups), dtype=torch.float64), score.constants
            for group in np.unique(groups[groups >= 0]):
                rest = places != int(group)
                score.constants = score.learn(Training(training.known[rest], training.normal[rest], training.anomalies))
                values[places.cpu() == int(group)] = score.score(training.known[~rest]).double().cpu()
            score.constants = constants
            found[name] = values.numpy()[groups >= 0]
        return found

    @torch.inference_mode()
    def known_similarity(self) -> Scores | None:
        """Return Eq. 9 of the images that it was calibrated on; None if no score is computed from the embedding."""
        training = self._training.get(PrototypeScore.evidence)
        if training is None:
            return None
        return PrototypeScore(self.network).score(training.known).double().cpu().numpy()

    @torch.inference_mode()
    def _score_each(self, batches: Iterator[_Evidence], twins: _Twins) -> dict[ScoreName, Scores]:
        found: dict[ScoreName, list[Tensor]] = {name: [] for name in self._scores}
        for evidence in batches:
            for name, score in self._scores.items():
                found[name].append(score.score(evidence[type(score).evidence]))
        # The last digits of a sum depend on the place in a batch, but equal images must not be ranked.
        return {
            name: torch.cat(parts).double().cpu().numpy()[twins.first_of_each] if parts else np.zeros(0)
            for name, parts in found.items()
        }

    def _shapes(self) -> dict[str, Shape]:
        """Return the shape of every constant."""
        if len(self._scores) == 1:
            return next(iter(self._scores.values())).constant_shapes()
        own = {
            f"{name}.{key}": shape
            for name, score in self._scores.items()
            for key, shape in score.constant_shapes().items()
        }
        return own | {"center": (len(self._scores),), "scale": (len(self._scores),)}

    def _gather(self, images: ImageSequence, advance: Advance) -> _Evidence:
        """Return the evidence of all images."""
        if self._has_seen(images):
            batches = [*self._evidence_of_seen(images, advance)]
        else:
            batches = [*self._evidence_of(slices(images, self.images_per_batch), advance)]
        evidence = {kind: torch.cat([batch[kind] for batch in batches]) for kind in batches[0]}
        if not all(tensor.isfinite().all() for tensor in evidence.values()):
            raise UsageError(
                "The network's outputs for the training images are not all finite, so no score can be calibrated. Use "
                "an earlier checkpoint, or train again with a lower learning rate."
            )
        return evidence

    def _has_seen(self, images: ImageSequence) -> TypeGuard[EncodedImages]:
        """Return whether the features that the images come with are all that the scores need of the encoder."""
        upright = self.views == ViewSet.of({Views.UPRIGHT})
        return isinstance(images, EncodedImages) and upright and not self.sees_pixels

    def _evidence_of(self, batches: Iterator[NDArray[np.uint8]], advance: Advance) -> Iterator[_Evidence]:
        for batch in on_device(batches, self.execution.device, advance):
            yield self._evidence(self._outputs(batch))

    def _evidence_of_seen(
        self, images: EncodedImages, advance: Advance, batches: Iterator[object] | None = None
    ) -> Iterator[_Evidence]:
        """Yield the evidence of every batch; ``batches`` of the images are read alongside, for their own sake."""
        precision, device = self.execution.precision, self.execution.device
        for features in images.features.split(self.images_per_batch):
            if batches is not None:
                next(batches)
            with encoder_precision(device, precision):
                found: Features = self.network.heads(features.to(device))
            yield self._evidence(self.views.split(found.map(Tensor.float), len(features)))
            advance(len(features))

    def _evidence(self, outputs: Outputs) -> _Evidence:
        if self.on_features is not None and self.views.turns:
            self.on_features(outputs.turns.encoder[0])
        by_kind = {type(score).evidence: score for score in self._scores.values()}
        return {kind: score.evidence(outputs) for kind, score in by_kind.items()}

    def _outputs(self, images: Tensor) -> Outputs:
        mean, std = self.network.statistics
        views = augment_views(
            images,
            self.views.parameters(images, self.augment),
            dtype=self.execution.precision,
            mean=mean,
            std=std,
            backend=self.augment.backend,
        )
        return self.views.split(self._features(views), len(images), self._pixels(images))

    def _pixels(self, images: Tensor) -> Tensor | None:
        return shrunk_pixels(images.permute(0, 3, 1, 2)) if self.sees_pixels else None

    def _features(self, views: Tensor) -> Features:
        """Return the features of views, float32."""
        rows, precision = len(views), self.execution.precision
        if self.execution.compile == "off":
            return _forward(self.network, views, precision)
        full = self.images_per_batch * self.passes
        if rows < full:
            views = torch.cat((views, views.new_zeros(full - rows, *views.shape[1:])))
        views = views.contiguous(memory_format=torch.channels_last)
        found = _compiled_forward(self.execution.compile)(self.network, views, precision)
        # Copies, because a captured CUDA graph overwrites its results in the next call.
        return found.map(lambda x: x[:rows].clone())


class _Twins:
    """Finds equal images in a sequence by their hashes."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self.first_of_each: list[int] = []  # for every image the place of the first that is equal to it

    def noted(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images, whose hashes are remembered."""
        for image in images:
            digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            self.first_of_each.append(self._places.setdefault(digest, len(self.first_of_each)))
        return images


def _check(name: str, tensor: Tensor, shape: Shape) -> None:
    """Raise a ValueError unless a constant has its shape, is float32, not empty and finite."""
    fits = len(shape) == tensor.dim() and all(a in (None, b) for a, b in zip(shape, tensor.shape, strict=True))
    if tensor.dtype != torch.float32 or not fits:
        dtype, wanted = str(tensor.dtype).removeprefix("torch."), str([size or "n" for size in shape]).replace("'", "")
        raise ValueError(f"has {name} as {dtype} {list(tensor.shape)}, expected float32 {wanted}")
    if not (tensor.numel() and tensor.isfinite().all()):
        raise ValueError(f"has a {name} that is empty or not finite")


def _forward(network: Network, views: Tensor, precision: torch.dtype) -> Features:
    """Return the features of views, in float32."""
    with encoder_precision(views.device, precision):
        found: Features = network(views)
    return found.map(Tensor.float)


@functools.cache
def _compiled_forward(mode: str) -> _Forward:
    return compile_whole(_forward, mode)
