"""The scale of images with more than 8 bits per value: one for all images of a data set."""

import json
import zlib

import numpy as np
import pytest
from betons import beton_of
from PIL import Image
from test_damage import END_CHUNK, chunk

from hscl_fast.config.sections import DataConfig
from hscl_fast.data import bit_depth, decode
from hscl_fast.data.beton.sidecar import read_sidecar
from hscl_fast.data.bit_depth import resolve_decoding
from hscl_fast.data.decode import load_image, load_images
from hscl_fast.data.kinds import open_test_images
from hscl_fast.data.open import load_split, open_split
from hscl_fast.data.split.record import write_record
from hscl_fast.data.types import Decoding
from hscl_fast.data.verify import verify_source
from hscl_fast.errors import UsageError

PARTS = ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal")


def grey(path, *values, dtype=np.uint16):
    """An image whose values are given, and else 1000."""
    pixels = np.full((16, 16), min(1000, values[0]), dtype)
    pixels[: len(values), :] = np.array(values, dtype)[:, None]
    Image.fromarray(pixels).save(path)
    return path


def colours(path, value):
    """A PNG with 16 bits per colour, which Pillow cannot write."""
    body = (b"\0" + int(value).to_bytes(2, "big") * 3 * 8) * 8
    head = (8).to_bytes(4, "big") * 2 + bytes((16, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + END_CHUNK)
    return path


def folder(root, largest=3900, extension="png"):
    """A folder of 12-bit images in 16-bit files; ``largest`` is in one image to train on."""
    for part in PARTS:
        (root / part).mkdir(parents=True)
        for number in range(4):
            grey(root / part / f"{number}.{extension}", 990 + number, 1010)
    grey(root / "train/unlabeled" / f"0.{extension}", largest)
    return root


def resolved(*train, test=(), **given):
    return resolve_decoding(DataConfig(**given), 16, train, test)


@pytest.mark.parametrize(
    ("largest", "depth"),
    [(200, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4096, 14), (16384, 16), (65535, 16)],
)
def test_the_smallest_depth_that_holds_every_value(tmp_path, largest, depth):
    files = [grey(tmp_path / "a.png", 100), grey(tmp_path / "b.png", largest), grey(tmp_path / "c.tif", 90)]
    decoding, (remark,) = resolved(*files)
    assert decoding == Decoding(16, bit_depth=depth)
    assert remark.doubt
    assert f"3 of the 3 files to train on have more than 8 bits per value: read as {depth} bits" in remark.text
    assert "give --data.bit_depth" in remark.text


def test_integers_of_32_bits(tmp_path):
    file = grey(tmp_path / "a.tif", 70_000, 0, dtype=np.int32)
    decoding, _ = resolved(grey(tmp_path / "b.tif", 30_000), file)
    assert decoding.bit_depth == 20
    assert load_image(file, Decoding(16, bit_depth=17))[0, 0, 0] == round(70_000 * 255 / 131_071)


def test_a_small_difference_of_12_bits_is_kept(tmp_path):
    # Scaled as 16 bits, 1000 and 1100 would both be 4.
    file = grey(tmp_path / "a.png", 1000, 1100, 4000)
    decoding, _ = resolved(file)
    rows = load_image(file, decoding)[:, 0, 0].tolist()
    assert rows[:3] == [62, 68, 249]
    assert load_image(file, Decoding(16, bit_depth=16))[:3, 0, 0].tolist() == [4, 4, 16]


def test_values_of_the_images_to_test_on_take_no_part_but_must_fit(tmp_path):
    train, test = grey(tmp_path / "a.png", 800), grey(tmp_path / "b.png", 2000)
    with pytest.raises(UsageError, match=r"b\.png, an image to test on, has .* 2,000, .*at least --data\.bit_depth 12"):
        resolved(train, test=[test])
    assert resolved(train, test=[test], bit_depth=12) == (Decoding(16, bit_depth=12), ())
    Image.new("L", (8, 8)).save(tmp_path / "c.png")
    with pytest.raises(UsageError, match="none of those to train on has such values"):
        resolved(tmp_path / "c.png", test=[test])


def test_values_above_the_depth_are_refused(tmp_path):
    file = grey(tmp_path / "a.png", 5000)
    with pytest.raises(UsageError, match=r"values span 1000 to 5000, expected 0 to 4095 \(bit_depth 12\)"):
        load_image(file, Decoding(16, bit_depth=12))
    with pytest.raises(UsageError, match="not known which value is white"):
        load_image(file, Decoding(16))


def test_files_of_8_bits_are_not_decoded(tmp_path, monkeypatch):
    image = Image.new("RGB", (8, 8))
    files = [tmp_path / f"a.{extension}" for extension in ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm")]
    for file in files:
        image.save(file)
    (tmp_path / "bad.png").write_bytes(b"II")
    monkeypatch.setattr(bit_depth, "_value", lambda *_: pytest.fail("decoded"))
    assert resolved(*files, tmp_path / "bad.png", tmp_path / "missing.png") == (Decoding(16), ())


def test_no_more_16_bit_files_are_read_than_are_needed(tmp_path, monkeypatch):
    files = [grey(tmp_path / f"{number}.png", 60_000) for number in range(70)]
    read, value = [], bit_depth._value
    monkeypatch.setattr(bit_depth, "_value", lambda *given: read.append(given) or value(*given))
    assert resolved(*files)[0].bit_depth == 16
    assert len(read) == 64


def test_a_pgm_that_states_its_largest_value_needs_no_scale(tmp_path):
    file = tmp_path / "a.pgm"
    for head, value in ((b"P5 4 4 4095\n", (1000).to_bytes(2, "big") * 16), (b"P2 4 4 4095\n", b"1000 " * 16)):
        file.write_bytes(head + value)
        assert resolved(file) == (Decoding(16), ())
        assert load_image(file, Decoding(4))[0, 0, 0] == 62
    file.write_bytes(b"P5 4 4 65535\n" + (1000).to_bytes(2, "big") * 16)
    assert resolved(file)[0].bit_depth == 10


def test_colours_of_16_bits_are_read_only_where_their_upper_bits_suffice(tmp_path):
    deep = colours(tmp_path / "a.png", 0xFE01)
    decoding, _ = resolved(deep)
    assert decoding.bit_depth == 16
    assert load_image(deep, decoding)[0, 0].tolist() == [0xFE] * 3
    dark = colours(tmp_path / "b.png", 3000)
    decoding, _ = resolved(dark)
    assert decoding.bit_depth == 12
    with pytest.raises(UsageError, match="only the upper 8 can be read, but bit_depth is 12:"):
        load_image(dark, decoding)
    with pytest.raises(UsageError, match="not known which value is white"):
        load_image(dark, Decoding(8))


@pytest.mark.parametrize(("largest", "white"), [(0.8, 1.0), (1.0, 1.0), (1.5, 255.0), (255.0, 255.0)])
def test_floating_point_files_share_a_scale(tmp_path, largest, white):
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for file, value in zip(files, (0.5, largest), strict=True):
        Image.new("F", (8, 8), value).save(file)
    decoding, (remark,) = resolved(*files)
    assert decoding == Decoding(16, float_white=white)
    assert remark.doubt
    assert load_images(files, decoding)[:, 0, 0, 0].tolist() == [round(0.5 * 255 / white), round(largest * 255 / white)]


def test_floating_point_values_of_no_usual_scale(tmp_path):
    Image.new("F", (8, 8), 4000).save(tmp_path / "a.tif")
    with pytest.raises(UsageError, match=r"up to 4000, .*Give that value as --data\.float_white"):
        resolved(tmp_path / "a.tif")
    decoding, _ = resolved(tmp_path / "a.tif", float_white=8000.0)
    assert load_image(tmp_path / "a.tif", decoding)[0, 0, 0] == 128


def test_a_split_and_its_reload_have_the_same_scale(tmp_path):
    config = DataConfig(name=str(folder(tmp_path / "mine")), image_size=16)
    split = open_split(config)
    assert split.decoding == Decoding(16, bit_depth=12)
    assert any("read as 12 bits" in remark.text for remark in split.remarks)
    write_record(split.record, tmp_path / "split.json")
    again = open_split(DataConfig(name=config.name, image_size=16, split_record=str(tmp_path / "split.json")))
    assert again.decoding == split.decoding
    np.testing.assert_array_equal(again.test.images[:], split.test.images[:])
    verified = verify_source(config)
    assert any("read as 12 bits" in remark.text for remark in verified.remarks)


def test_a_beton_keeps_the_scale(tmp_path):
    config = DataConfig(name=str(folder(tmp_path / "mine")), image_size=16)
    beton = beton_of(config.name, tmp_path / "a.beton", image_size=16, encoding="raw")
    assert read_sidecar(tmp_path / "a.beton").origin["bit_depth"] == 12
    split = load_split(DataConfig(name=beton.name, bit_depth=12))
    assert split.decoding == Decoding(16, bit_depth=12)
    np.testing.assert_array_equal(split.test.images, load_split(config).test.images)
    with pytest.raises(UsageError, match=r"--data\.bit_depth is 14, but .*a\.beton was prepared with bit_depth 12"):
        open_split(DataConfig(name=beton.name, bit_depth=14))
    for trained in (None, 12):
        assert open_test_images(DataConfig(name=beton.name, image_size=16, bit_depth=trained), "beton").decoding
    with pytest.raises(UsageError, match="was prepared with bit_depth 12, but the run was trained with 14"):
        open_test_images(DataConfig(name=beton.name, image_size=16, bit_depth=14), "beton")


@pytest.mark.parametrize("value", [0, 33, 12.5, True, "12"])
def test_a_sidecar_with_another_bit_depth_is_refused(tmp_path, value):
    beton_of("digits", tmp_path / "a.beton")
    sidecar = tmp_path / "a.beton.json"
    plain = json.loads(sidecar.read_text())
    plain["origin"]["bit_depth"] = value
    sidecar.write_text(json.dumps(plain))
    with pytest.raises(UsageError, match=r"origin\.bit_depth is .*, expected 1 to 32"):
        read_sidecar(tmp_path / "a.beton")


@pytest.mark.parametrize("option", [{"bit_depth": 12}, {"float_white": 1.0}, {"max_megapixels": 100}])
def test_options_of_decoding_are_refused_where_nothing_is_decoded(tmp_path, option):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), y=np.array([1, 1, 0, 0]))
    for name in ("digits", str(tmp_path / "a.npz")):
        with pytest.raises(UsageError, match=rf"--data\.{next(iter(option))} is .* would do nothing"):
            open_split(DataConfig(name=name, **option))


def test_the_largest_number_of_pixels(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    Image.new("L", (2000, 1500)).save(file)
    monkeypatch.setattr(decode.Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow's own limit, which takes no part
    assert load_image(file, Decoding(8, max_megapixels=3)).shape == (8, 8, 3)
    assert decode.Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(UsageError, match="it has 2000 x 1500 pixels, more than the 2 million of max_megapixels"):
        load_image(file, Decoding(8, max_megapixels=2))
    assert Decoding(8).max_pixels >= 8192 * 8192
