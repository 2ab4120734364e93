"""Finds what a user meant by a name that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_CLOSE = 0.75  # ratio of difflib, from 0 (nothing in common) to 1 (equal)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a question that names the choices closest to a word, or nothing if none is close.

    Case, dashes and underscores do not count. A dotted choice with the same last part is close; choices that are
    equally close are all named.

    >>> did_you_mean("fashionmnist", ["digits", "fashion_mnist"])
    ' Did you mean fashion_mnist?'
    >>> did_you_mean("--batchsize", ["--data.root", "--optim.batch_size", "--evaluate.batch_size"])
    ' Did you mean --optim.batch_size or --evaluate.batch_size?'
    >>> did_you_mean("cats", ["digits", "fashion_mnist"])
    ''
    """
    close = {choice: _closeness(_plain(word), _plain(choice)) for choice in choices}
    best = max(close.values(), default=0.0)
    if best < _CLOSE:
        return ""
    return f" Did you mean {' or '.join(choice for choice, closeness in close.items() if closeness == best)}?"


def _closeness(word: str, choice: str) -> float:
    if word == choice:
        return 3.0
    if word.rpartition(".")[2] == choice.rpartition(".")[2]:
        return 2.0
    return SequenceMatcher(None, word, choice).ratio()


def _plain(word: str) -> str:
    return re.sub(r"[-_]", "", word.lower())
