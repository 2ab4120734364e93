"""Views in Triton: one program renders one row, from the uint8 pixels to the normalised view, in one launch.

A first pass over the pixels finds the channel means that contrast needs; a second one renders. Colours belong to the
image's pixels, so the second pass colours the four neighbours that a pixel of the view lies between, and then blends
them; rows with ``crop_first`` blend first.
"""

from __future__ import annotations

import triton
import triton.language as tl

_THIRD_OF_PI = tl.constexpr(1.0471975511965976)

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit(
    do_not_specialize=["count"],
    do_not_specialize_on_alignment=[
        "image",
        "flip",
        "rotation",
        "jitter",
        "contrast_first",
        "hue",
        "saturation",
        "value",
        "contrast",
        "gray",
        "crop",
        "crop_first",
    ],
)
def views_kernel(
    images,  # [B, H, W, C] uint8
    image,  # [rows] int64, and so on: the fields of ViewParameters, truths as uint8
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
    views,  # [rows, H, W, C] out
    count,  # B
    scale0,  # channel c of the views is x * scale + offset
    scale1,
    scale2,
    offset0,
    offset1,
    offset2,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Flip, turn, jitter, grey, crop and normalise: see ``augment_views``."""
    # Inductor passes numbers as float64, in which all that follows would be computed.
    scale0, scale1, scale2 = tl.cast(scale0, tl.float32), tl.cast(scale1, tl.float32), tl.cast(scale2, tl.float32)
    offset0, offset1, offset2 = tl.cast(offset0, tl.float32), tl.cast(offset1, tl.float32), tl.cast(offset2, tl.float32)
    row = tl.program_id(0).to(tl.int64)
    source = tl.load(image + row).to(tl.int64)
    exists = (source >= 0) & (source < count)
    pixels = images + tl.where(exists, source, 0) * (HEIGHT * WIDTH * CHANNELS)
    turns = (tl.load(rotation + row) % 4 + 4).to(tl.int32) % 4
    mirrored = tl.load(flip + row) != 0
    jittered = tl.load(jitter + row) != 0
    early_contrast = tl.load(contrast_first + row) != 0
    early_crop = tl.load(crop_first + row) != 0
    grey = tl.load(gray + row) != 0
    shift = tl.load(hue + row) * (6.0 * 255.0 / 360.0)  # in sixths of a turn
    by_saturation = tl.load(saturation + row)
    by_value = tl.load(value + row)
    by_contrast = tl.load(contrast + row)
    crop_w = tl.load(crop + row * 4)
    crop_h = tl.load(crop + row * 4 + 1)
    bias_w = tl.load(crop + row * 4 + 2)
    bias_h = tl.load(crop + row * 4 + 3)
    # 0 times an infinity is NaN.
    numbers = 0.0 * shift + 0.0 * by_saturation + 0.0 * by_value + 0.0 * by_contrast
    numbers += 0.0 * crop_w + 0.0 * crop_h + 0.0 * bias_w + 0.0 * bias_h
    valid = exists & (numbers == 0.0)

    mean0 = 0.0
    mean1 = 0.0
    mean2 = 0.0
    if jittered:
        sum0 = tl.zeros([BLOCK], tl.float32)
        sum1 = tl.zeros([BLOCK], tl.float32)
        sum2 = tl.zeros([BLOCK], tl.float32)
        for start in range(0, HEIGHT * WIDTH, BLOCK):
            pixel = start + tl.arange(0, BLOCK)
            inside = pixel < HEIGHT * WIDTH
            if early_crop:
                x0, x1, y0, y1, wx, wy = _neighbours(
                    pixel, crop_w, crop_h, bias_w, bias_h, turns, mirrored, HEIGHT, WIDTH
                )
                c0, c1, c2 = _blend(pixels, x0, x1, y0, y1, wx, wy, inside, WIDTH, CHANNELS)
            else:
                c0, c1, c2 = _load(pixels, pixel, inside, CHANNELS)
            if not early_contrast:
                c0, c1, c2 = _adjust_hsv(c0, c1, c2, shift, by_saturation, by_value, CHANNELS)
            sum0 += tl.where(inside, c0, 0.0)
            sum1 += tl.where(inside, c1, 0.0)
            sum2 += tl.where(inside, c2, 0.0)
        mean0 = tl.sum(sum0, 0) / (HEIGHT * WIDTH)
        mean1 = tl.sum(sum1, 0) / (HEIGHT * WIDTH)
        mean2 = tl.sum(sum2, 0) / (HEIGHT * WIDTH)

    for start in range(0, HEIGHT * WIDTH, BLOCK):
        pixel = start + tl.arange(0, BLOCK)
        inside = pixel < HEIGHT * WIDTH
        x0, x1, y0, y1, wx, wy = _neighbours(pixel, crop_w, crop_h, bias_w, bias_h, turns, mirrored, HEIGHT, WIDTH)
        if early_crop:
            b0, b1, b2 = _blend(pixels, x0, x1, y0, y1, wx, wy, inside, WIDTH, CHANNELS)
            b0, b1, b2 = _adjust_colours(
                b0, b1, b2, mean0, mean1, mean2, jittered, early_contrast, shift, by_saturation, by_value, by_contrast,
                grey, CHANNELS,
            )  # fmt: skip
        else:
            b0 = tl.zeros([BLOCK], tl.float32)
            b1 = tl.zeros([BLOCK], tl.float32)
            b2 = tl.zeros([BLOCK], tl.float32)
            for corner in range(4):
                right = corner % 2 == 1
                below = corner >= 2
                near = tl.where(below, y1, y0) * WIDTH + tl.where(right, x1, x0)
                share = tl.where(below, wy, 1.0 - wy) * tl.where(right, wx, 1.0 - wx)
                c0, c1, c2 = _load(pixels, near, inside, CHANNELS)
                c0, c1, c2 = _adjust_colours(
                    c0, c1, c2, mean0, mean1, mean2, jittered, early_contrast, shift, by_saturation, by_value,
                    by_contrast, grey, CHANNELS,
                )  # fmt: skip
                b0 += share * c0
                b1 += share * c1
                b2 += share * c2
        place = views + row * (HEIGHT * WIDTH * CHANNELS) + pixel * CHANNELS
        broken = tl.where(valid, 0.0, float("nan"))  # an image that does not exist must show, and so must a NaN
        tl.store(place, (b0 * scale0 + (offset0 + broken)).to(views.dtype.element_ty), mask=inside)
        if CHANNELS == 3:
            tl.store(place + 1, (b1 * scale1 + (offset1 + broken)).to(views.dtype.element_ty), mask=inside)
            tl.store(place + 2, (b2 * scale2 + (offset2 + broken)).to(views.dtype.element_ty), mask=inside)


@triton.jit
def _neighbours(pixel, crop_w, crop_h, bias_w, bias_h, turns, mirrored, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Return the columns and rows of the image that a pixel of the view lies between, and how far it is along."""
    along_x = crop_w * ((2 * (pixel % WIDTH) + 1).to(tl.float32) / WIDTH - 1.0) + bias_w
    along_y = crop_h * ((2 * (pixel // WIDTH) + 1).to(tl.float32) / HEIGHT - 1.0) + bias_h
    # A view turned counter-clockwise by a quarter has x = -y and y = x of its upright image.
    x = tl.where(turns == 0, along_x, tl.where(turns == 1, -along_y, tl.where(turns == 2, -along_x, along_y)))
    y = tl.where(turns == 0, along_y, tl.where(turns == 1, along_x, tl.where(turns == 2, -along_y, -along_x)))
    x = tl.where(mirrored, -x, x)
    x0, x1, wx = _between(((x + 1.0) * WIDTH - 1.0) * 0.5, WIDTH)
    y0, y1, wy = _between(((y + 1.0) * HEIGHT - 1.0) * 0.5, HEIGHT)
    return x0, x1, y0, y1, wx, wy


@triton.jit
def _between(place, SIZE: tl.constexpr):
    """Mirror a place at the border (half a pixel beyond the outer centres); return its neighbours and the share."""
    beyond = tl.abs(place + 0.5)
    flips = tl.floor(beyond / SIZE)
    rest = beyond - flips * SIZE
    odd = flips - 2.0 * tl.floor(flips * 0.5) > 0.5
    place = tl.where(odd, SIZE - rest, rest) - 0.5
    place = tl.minimum(tl.maximum(place, 0.0), SIZE - 1.0)
    low = tl.floor(place)
    first = low.to(tl.int32)
    return first, tl.minimum(first + 1, SIZE - 1), place - low


@triton.jit
def _load(pixels, pixel, inside, CHANNELS: tl.constexpr):
    """Return the channels in [0, 1]; grey ones are red, green and blue alike."""
    c0 = tl.load(pixels + pixel * CHANNELS, mask=inside, other=0).to(tl.float32) / 255.0
    c1 = c0
    c2 = c0
    if CHANNELS == 3:
        c1 = tl.load(pixels + pixel * CHANNELS + 1, mask=inside, other=0).to(tl.float32) / 255.0
        c2 = tl.load(pixels + pixel * CHANNELS + 2, mask=inside, other=0).to(tl.float32) / 255.0
    return c0, c1, c2


@triton.jit
def _blend(pixels, x0, x1, y0, y1, wx, wy, inside, WIDTH: tl.constexpr, CHANNELS: tl.constexpr):
    """Return the bilinear mean of the four neighbours."""
    a0, a1, a2 = _load(pixels, y0 * WIDTH + x0, inside, CHANNELS)
    b0, b1, b2 = _load(pixels, y0 * WIDTH + x1, inside, CHANNELS)
    c0, c1, c2 = _load(pixels, y1 * WIDTH + x0, inside, CHANNELS)
    d0, d1, d2 = _load(pixels, y1 * WIDTH + x1, inside, CHANNELS)
    e0 = (a0 * (1.0 - wx) + b0 * wx) * (1.0 - wy) + (c0 * (1.0 - wx) + d0 * wx) * wy
    e1 = (a1 * (1.0 - wx) + b1 * wx) * (1.0 - wy) + (c1 * (1.0 - wx) + d1 * wx) * wy
    e2 = (a2 * (1.0 - wx) + b2 * wx) * (1.0 - wy) + (c2 * (1.0 - wx) + d2 * wx) * wy
    return e0, e1, e2


@triton.jit
def _adjust_colours(
    c0,
    c1,
    c2,
    mean0,
    mean1,
    mean2,
    jittered,
    early_contrast,
    shift,
    by_saturation,
    by_value,
    by_contrast,
    grey,
    CHANNELS: tl.constexpr,
):
    """Jitter, then grey, where the row's parameters say so."""
    if jittered:
        early_factor = tl.where(early_contrast, by_contrast, 1.0)
        late_factor = tl.where(early_contrast, 1.0, by_contrast)
        c0 = _adjust_contrast(c0, mean0, early_factor)
        c1 = _adjust_contrast(c1, mean1, early_factor)
        c2 = _adjust_contrast(c2, mean2, early_factor)
        c0, c1, c2 = _adjust_hsv(c0, c1, c2, shift, by_saturation, by_value, CHANNELS)
        c0 = _adjust_contrast(c0, mean0, late_factor)
        c1 = _adjust_contrast(c1, mean1, late_factor)
        c2 = _adjust_contrast(c2, mean2, late_factor)
    if CHANNELS == 3:
        luma = 0.299 * c0 + 0.587 * c1 + 0.114 * c2
        c0 = tl.where(grey, luma, c0)
        c1 = tl.where(grey, luma, c1)
        c2 = tl.where(grey, luma, c2)
    return c0, c1, c2


@triton.jit
def _adjust_contrast(x, mean, factor):
    """Return (x - mean) * factor + mean, clamped to [0, 1]; a factor of 1 leaves x unchanged, up to rounding."""
    return _unit(x * factor + mean * (1.0 - factor))


@triton.jit
def _unit(x):
    return tl.minimum(tl.maximum(x, 0.0), 1.0)


@triton.jit
def _adjust_hsv(red, green, blue, shift, by_saturation, by_value, CHANNELS: tl.constexpr):
    """Turn the hue by ``shift`` sixths, scale saturation and value."""
    if CHANNELS == 1:
        grey = _unit(red * by_value)  # which has neither hue nor saturation
        return grey, grey, grey
    highest = tl.maximum(tl.maximum(red, green), blue)
    spread = highest - tl.minimum(tl.minimum(red, green), blue)
    sixths = _angle((green - blue) * 1.7320508075688772, 2.0 * red - green - blue) / _THIRD_OF_PI + shift
    sixths = sixths - 6.0 * tl.floor(sixths * (1.0 / 6.0))
    saturation = _unit(spread / tl.maximum(highest, 1e-30) * by_saturation)
    value = _unit(highest * by_value)
    chroma = value * saturation
    return (
        value - chroma + chroma * _unit(tl.abs(sixths - 3.0) - 1.0),
        value - chroma * _unit(tl.abs(sixths - 2.0) - 1.0),
        value - chroma * _unit(tl.abs(sixths - 4.0) - 1.0),
    )


@triton.jit
def _angle(y, x):
    """Return atan2(y, x) to 1e-7; 0 for two zeros.

    Reduced to at most an eighth of a turn, then by tan(a - pi/4) to a sixteenth; there the odd polynomial of Cephes'
    ``atanf`` (S. Moshier).
    """
    least = tl.minimum(tl.abs(x), tl.abs(y))
    most = tl.maximum(tl.abs(x), tl.abs(y))
    far = least > 0.4142135623730950 * most
    t = tl.where(far, least - most, least) / tl.maximum(tl.where(far, least + most, most), 1e-30)
    z = t * t
    p = ((8.05374449538e-2 * z - 1.38776856032e-1) * z + 1.99777106478e-1) * z - 3.33329491539e-1
    angle = p * z * t + t + tl.where(far, 0.7853981633974483, 0.0)
    angle = tl.where(tl.abs(y) > tl.abs(x), 1.5707963267948966 - angle, angle)
    angle = tl.where(x < 0.0, 3.141592653589793 - angle, angle)
    return tl.where(y < 0.0, -angle, angle)
