"""What a user may name as images to score, and how each is read."""

import os

import numpy as np
import pytest
from PIL import Image

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.given_images import GivenImages
from hscl_fast.data.types import Decoding
from hscl_fast.errors import UsageError

EIGHT = Decoding(8)


@pytest.fixture
def photos(tmp_path, rng, monkeypatch):
    """The working directory, with ``photos/`` of three PNGs, one of them in a folder below."""
    (tmp_path / "photos/inner").mkdir(parents=True)
    for name in ("b.png", "a.png", "inner/c.png"):
        Image.fromarray(rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(*given, **options):
    return [image.name for image in GivenImages(given, **options).images]


def refused(*given, match, **options):
    with pytest.raises(UsageError) as raised:
        GivenImages(given, **options)
    assert match in str(raised.value)


def test_patterns_stand_for_what_they_match_in_sorted_order(photos):
    assert names("photos/*.png") == ["photos/a.png", "photos/b.png"]
    assert names("photos/**/c.*") == ["photos/inner/c.png"]
    assert names("photos/i*") == ["photos/inner/c.png"]  # a folder
    assert names("photos/b.png", "photos/*.png") == ["photos/b.png", "photos/a.png"]
    refused("photos/*.gif", match="The pattern photos/*.gif matches no file")


def test_a_file_whose_name_looks_like_a_pattern_or_a_list_is_itself(photos):
    for name in ("[a].png", "@a.png"):
        os.rename("photos/a.png", name)
        assert names(name) == [name]
        os.rename(name, "photos/a.png")


def test_a_list_names_files_and_folders_relative_to_the_working_directory(photos, tmp_path):
    (tmp_path / "lists").mkdir()
    odd = os.fsencode("photos/new\nline \xff.png".replace("\xff", "\udcff"))
    os.rename("photos/a.png", odd)
    (tmp_path / "lists/crlf.txt").write_bytes(b"photos/b.png\r\n\r\nphotos/gone.png\r\nphotos/inner")
    assert names("@lists/crlf.txt") == ["photos/b.png", "photos/gone.png", "photos/inner/c.png"]
    (tmp_path / "lists/zero.txt").write_bytes(odd + b"\0photos/b.png\0")
    found = GivenImages(["@lists/zero.txt"]).images
    assert [image.name for image in found] == [os.fsdecode(odd), "photos/b.png"]
    assert found[0].load(EIGHT).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("@nothing.txt", "there is no list nothing.txt"),
        ("@empty.txt", "the list has no path in it"),
        ("@photos", "there is no list photos"),
        ("nowhere.png", "nowhere.png does not exist"),
    ],
)
def test_what_names_no_image_is_refused(photos, tmp_path, given, match):
    (tmp_path / "empty.txt").write_text("\n \n")
    refused(given, match=match)


def test_a_csv_needs_only_a_column_of_paths(photos, tmp_path):
    (tmp_path / "photos/list.csv").write_text("rank;path\n1;inner/c.png\n2;a.png\n3;../secret.png\n4;gone.png\n5;\n")
    images = GivenImages(["photos/list.csv"]).images
    assert [image.name for image in images] == [
        *("photos/inner/c.png", "photos/a.png", "../secret.png", "photos/gone.png", "")
    ]
    assert images[0].load(EIGHT).shape == (8, 8, 3)
    with pytest.raises(BadImages, match="does not lead to a file inside photos; name another folder with --root"):
        images[2].load(EIGHT)
    with pytest.raises(BadImages, match="there is no such file"):
        images[3].load(EIGHT)
    (tmp_path / "rooted.csv").write_text("path,anomaly_score\ninner/c.png,1\n")
    assert names("rooted.csv", root=tmp_path / "photos") == [str(photos / "inner/c.png")]
    (tmp_path / "headless.csv").write_text("file\na.png\n")
    refused("headless.csv", match="Expected the column path; to fix this, give one column path")
    (tmp_path / "none.csv").write_text("path\n")
    refused("none.csv", match="lists no image")


def test_an_npz_needs_no_labels(photos, tmp_path, rng):
    images = rng.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images[:2], test_images=images[2:])
    found = GivenImages(["x.npz"]).images
    assert [image.name for image in found] == ["x.npz/images/0", "x.npz/images/1", "x.npz/test_images/0"]
    assert (found[2].load(Decoding(16))[..., 0] == images[2]).all()
    assert found[1].load(EIGHT).shape == (8, 8, 3)
    assert found[1].picture(EIGHT, 100).shape == (16, 16, 3)
    np.savez(tmp_path / "float.npz", images=images / 255)
    refused("float.npz", match="(255 * images).round().astype('uint8')")
    np.savez(tmp_path / "other.npz", pictures=images)
    refused("other.npz", match="it has pictures")


def test_a_picture_keeps_its_proportions(photos):
    (image,) = GivenImages(["photos/a.png"]).images
    assert image.picture(EIGHT, 6).shape == (4, 6, 3)


@pytest.mark.parametrize(
    "options",
    [{"exclude": ("*.png",)}, {"follow_links": True}, {"root": "photos"}],
    ids=lambda options: next(iter(options)),
)
def test_an_option_that_would_do_nothing_is_refused(photos, options):
    refused("photos/a.png", match=f"--{next(iter(options))} is", **options)
