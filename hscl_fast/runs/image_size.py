"""The size of the images of a run whose configuration leaves it open."""

from __future__ import annotations

from hscl_fast.config.sections import DataConfig, ModelConfig
from hscl_fast.data.named.registry import DATA_SETS
from hscl_fast.method.pretrained import input_size

_SMALL, _ENLARGED = 32, 5  # pixels; times


def resolve_image_size(data: DataConfig, model: ModelConfig) -> int | None:
    """Return ``data.image_size`` or, where it is unset, the size that suits the encoder.

    Returns
    -------
    int or None
        None leaves the size to the data: for an encoder from scratch, and for a ``.beton``, which has its own size.
        Otherwise the size that the weights were trained with. Tiny images gain little from so large a size: those of a
        named data set of up to 32 pixels are enlarged five times, at half of the cost.
    """
    if data.image_size is not None or data.name.lower().endswith(".beton"):
        return data.image_size
    trained = input_size(model)
    known = DATA_SETS.get(data.name)
    if trained is None or known is None or known.size > _SMALL:
        return trained
    return min(trained, _ENLARGED * known.size)
