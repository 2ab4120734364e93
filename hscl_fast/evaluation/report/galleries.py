"""The galleries of a report: the images that a person should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from hscl_fast.evaluation.report.heat import Heat
from hscl_fast.evaluation.report.pictures import Picture, PictureSource
from hscl_fast.evaluation.report.scored import RankedImages, ScoredImages

MOST = 18  # pictures in a gallery; each takes a heat map, and about 20 kilobytes


@dataclass(frozen=True)
class Tile:
    """A picture with its caption.

    Attributes
    ----------
    picture
        The picture.
    name
        The image's full name.
    score
        Its anomaly score.
    label
        Its true class or what is known of it; may be empty.
    is_abnormal
        Whether it is truly an anomaly; None where that is unknown.
    """

    picture: Picture
    name: str
    score: float
    label: str
    is_abnormal: bool | None

    @property
    def short(self) -> str:
        """The name without its folders."""
        return PurePath(self.name).name

    @property
    def description(self) -> str:
        """The picture in words."""
        return f"{self.name}, anomaly score {self.score:.4g}{', ' if self.label else ''}{self.label}"


@dataclass(frozen=True)
class Gallery:
    """Some of the images of a kind.

    Attributes
    ----------
    tiles
        The first of them.
    total
        The number of them all.
    """

    tiles: list[Tile]
    total: int


def missed_anomalies(scored: ScoredImages, threshold: float, heat: Heat | None) -> Gallery:
    """Return the anomalies that are called normal, the lowest anomaly score first."""
    wrong = np.flatnonzero(scored.images.abnormal & ~(scored.anomaly_scores > threshold))
    return _mistakes(scored, wrong[np.argsort(scored.anomaly_scores[wrong], kind="stable")].tolist(), heat)


def false_alarms(scored: ScoredImages, threshold: float, heat: Heat | None) -> Gallery:
    """Return the normal images that are called abnormal, the highest anomaly score first."""
    wrong = np.flatnonzero(~scored.images.abnormal & (scored.anomaly_scores > threshold))
    return _mistakes(scored, wrong[np.argsort(-scored.anomaly_scores[wrong], kind="stable")].tolist(), heat)


def _mistakes(scored: ScoredImages, order: Sequence[int], heat: Heat | None) -> Gallery:
    test, rows = scored.images, order[:MOST]
    pictures = PictureSource(test.images, test.names, scored.originals, heat).pictures(rows)
    tiles = [
        Tile(
            picture,
            test.names[row],
            float(scored.anomaly_scores[row]),
            scored.class_names[test.classes[row]],
            bool(test.abnormal[row]),
        )
        for row, picture in zip(rows, pictures, strict=True)
    ]
    return Gallery(tiles, len(order))


def most_suspicious(ranked: RankedImages, heat: Heat | None) -> Gallery:
    """Return the unlabelled training images, the most suspicious first."""
    first = ranked.suspects.images[:MOST]
    places = {name: row for row, name in enumerate(ranked.names)}
    source = PictureSource(ranked.images, ranked.names, ranked.originals, heat)
    pictures = source.pictures([places[suspect.path] for suspect in first])
    words = {True: "hidden anomaly", False: "normal", None: ""}
    tiles = [
        Tile(picture, suspect.path, suspect.anomaly_score, words[suspect.hidden_anomaly], suspect.hidden_anomaly)
        for suspect, picture in zip(first, pictures, strict=True)
    ]
    return Gallery(tiles, len(ranked.suspects.images))
