"""View parameters in Triton: a program draws those of a block of rows, so that one launch draws all.

The arithmetic is the reference's in float64, operation by operation, and the launch forbids fused multiply-adds. The
two can then differ only where ``exp`` rounds otherwise, and show it only where a side of a crop is just half a pixel.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.draws import numbers

_FLIP = tl.constexpr(numbers.FLIP)
_JITTER = tl.constexpr(numbers.JITTER)
_CONTRAST_FIRST = tl.constexpr(numbers.CONTRAST_FIRST)
_HUE = tl.constexpr(numbers.HUE)
_SATURATION = tl.constexpr(numbers.SATURATION)
_VALUE = tl.constexpr(numbers.VALUE)
_CONTRAST = tl.constexpr(numbers.CONTRAST)
_GRAY = tl.constexpr(numbers.GRAY)
_AREA = tl.constexpr(numbers.AREA)
_RATIO = tl.constexpr(numbers.RATIO)
_X = tl.constexpr(numbers.X)
_Y = tl.constexpr(numbers.Y)
_TRIALS = tl.constexpr(numbers.TRIALS)
_TURNS = tl.constexpr(numbers.TURNS)
_VIEW_STREAM = tl.constexpr(numbers.VIEW_STREAM)
_TURN_STREAM = tl.constexpr(numbers.TURN_STREAM)


@triton.jit(do_not_specialize=["batch", "rows"])
def draws_kernel(
    indices,  # [B] int64
    seed,  # int64 scalars
    step,
    image,  # [rows] int64, and so on: the fields of ViewParameters, truths as uint8; out
    flip,
    rotation,
    jitter,
    contrast_first,
    hue,
    saturation,
    value,
    contrast,
    gray,
    crop,  # [rows, 4] float32
    crop_first,
    batch,  # B
    rows,
    # The distribution is a constant of the kernel, because Triton passes numbers as float32.
    ROTATIONS: tl.constexpr,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    CROP_FIRST: tl.constexpr,
    FLIPPED: tl.constexpr,  # probabilities
    JITTERED: tl.constexpr,
    GRAYED: tl.constexpr,
    BY_VALUE: tl.constexpr,  # half widths
    BY_CONTRAST: tl.constexpr,
    BY_SATURATION: tl.constexpr,
    BY_HUE: tl.constexpr,
    AREA_LOW: tl.constexpr,  # area = AREA_LOW + AREA_RANGE * u
    AREA_RANGE: tl.constexpr,
    RATIO_LOW: tl.constexpr,  # the logarithm of the ratio
    RATIO_RANGE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Draw flip, turn, colours and crop of each row: see ``draw_view_parameters``."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    place = row % batch
    view = row // (ROTATIONS * batch)
    turn = (row // batch) % ROTATIONS
    index = tl.load(indices + place, mask=inside, other=0)
    key = tl.load(seed)
    number = tl.load(step)
    if ROTATIONS == 2:
        u = _uniform(key, number, index, row * 0, 0, _TURN_STREAM)
        turn = tl.where(turn == 0, 0, 1 + (u * (_TURNS - 1)).to(tl.int32))
    copy = view * _TURNS + turn
    tl.store(image + row, place.to(tl.int64), mask=inside)
    tl.store(rotation + row, turn.to(tl.int64), mask=inside)
    # The flip belongs to the image and view: its rotated copies take the draw of the upright one.
    u = _uniform(key, number, index, view * _TURNS, _FLIP, _VIEW_STREAM)
    tl.store(flip + row, (u < FLIPPED).to(tl.uint8), mask=inside)
    u = _uniform(key, number, index, copy, _JITTER, _VIEW_STREAM)
    tl.store(jitter + row, (u < JITTERED).to(tl.uint8), mask=inside)
    u = _uniform(key, number, index, copy, _CONTRAST_FIRST, _VIEW_STREAM)
    tl.store(contrast_first + row, (u < 0.5).to(tl.uint8), mask=inside)
    u = _uniform(key, number, index, copy, _HUE, _VIEW_STREAM)
    tl.store(hue + row, (BY_HUE * (2.0 * u - 1.0)).to(tl.float32), mask=inside)
    u = _uniform(key, number, index, copy, _SATURATION, _VIEW_STREAM)
    tl.store(saturation + row, (1.0 + BY_SATURATION * (2.0 * u - 1.0)).to(tl.float32), mask=inside)
    u = _uniform(key, number, index, copy, _VALUE, _VIEW_STREAM)
    tl.store(value + row, (1.0 + BY_VALUE * (2.0 * u - 1.0)).to(tl.float32), mask=inside)
    u = _uniform(key, number, index, copy, _CONTRAST, _VIEW_STREAM)
    tl.store(contrast + row, (1.0 + BY_CONTRAST * (2.0 * u - 1.0)).to(tl.float32), mask=inside)
    u = _uniform(key, number, index, copy, _GRAY, _VIEW_STREAM)
    tl.store(gray + row, (u < GRAYED).to(tl.uint8), mask=inside)
    tl.store(crop_first + row, (row * 0 + CROP_FIRST).to(tl.uint8), mask=inside)

    w = row.to(tl.float64) * 0.0 + WIDTH
    h = row.to(tl.float64) * 0.0 + HEIGHT
    for trial in tl.static_range(_TRIALS):  # from the last to the first, so that the first that fits stays
        u = _uniform(key, number, index, copy, _AREA + _TRIALS - 1 - trial, _VIEW_STREAM)
        area = (AREA_LOW + AREA_RANGE * u) * (HEIGHT * WIDTH)
        u = _uniform(key, number, index, copy, _RATIO + _TRIALS - 1 - trial, _VIEW_STREAM)
        ratio = tl.exp(RATIO_LOW + RATIO_RANGE * u)
        some_w = _round(tl.sqrt(area * ratio))
        some_h = _round(tl.sqrt(area / ratio))
        fits = (some_w > 0.0) & (some_w <= WIDTH) & (some_h > 0.0) & (some_h <= HEIGHT)
        w = tl.where(fits, some_w, w)
        h = tl.where(fits, some_h, h)
    u = _uniform(key, number, index, copy, _X, _VIEW_STREAM)
    w_bias = w - WIDTH + tl.floor(u * (2.0 * (WIDTH - w) + 1.0))
    u = _uniform(key, number, index, copy, _Y, _VIEW_STREAM)
    h_bias = h - HEIGHT + tl.floor(u * (2.0 * (HEIGHT - h) + 1.0))
    tl.store(crop + row * 4, (w / WIDTH).to(tl.float32), mask=inside)
    tl.store(crop + row * 4 + 1, (h / HEIGHT).to(tl.float32), mask=inside)
    tl.store(crop + row * 4 + 2, (w_bias / WIDTH).to(tl.float32), mask=inside)
    tl.store(crop + row * 4 + 3, (h_bias / HEIGHT).to(tl.float32), mask=inside)


@triton.jit
def _uniform(seed, step, index, copy, NUMBER: tl.constexpr, STREAM: tl.constexpr):
    """Return number ``NUMBER`` of ``hscl_kernels.philox.random_uniforms``; the compiler joins equal calls of philox."""
    third = (copy & 0xFFFF).to(tl.uint32) + ((NUMBER // 4) * 65536 + STREAM * 67108864)
    zero = third * 0
    first, second, third, fourth = tl.philox_impl(
        index.to(tl.uint32),
        zero + step.to(tl.uint32),
        third,
        zero + (step >> 32).to(tl.uint32),
        seed.to(tl.uint32),
        (seed >> 32).to(tl.uint32),
    )
    word = first
    if NUMBER % 4 == 1:
        word = second
    if NUMBER % 4 == 2:
        word = third
    if NUMBER % 4 == 3:
        word = fourth
    return (word.to(tl.float64) + 0.5) * 2.3283064365386963e-10  # 2**-32


@triton.jit
def _round(x):
    """Return the nearest whole number, of two equally near ones the even one; x is not negative."""
    low = tl.floor(x)
    rest = x - low
    odd = low - 2.0 * tl.floor(low * 0.5)
    return tl.where((rest > 0.5) | ((rest == 0.5) & (odd == 1.0)), low + 1.0, low)
