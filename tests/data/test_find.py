"""Finding the image files of a folder, and what is said about all that is left out."""

import os

import pytest

from hscl_fast.data.find import Finder, is_excluded
from hscl_fast.errors import UsageError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def search(root, *exclude, **options):
    """The names that are found, and the remarks, doubtful ones with ``?`` before them."""
    finder = Finder(root, exclude, **options)
    found = [path.relative_to(root).as_posix() for path in finder.find()]
    finder.require_used()
    return found, [f"?{remark.text}" if remark.doubt else remark.text for remark in finder.remarks]


def test_images_are_found_by_their_extension(tmp_path):
    touch(tmp_path, *("b.PNG", "a.jpeg", "sub/c.Tif", "sub/deep/d.webp", "e.JFIF", "noend", ".cache/e.png"))
    assert search(tmp_path)[0] == ["a.jpeg", "b.PNG", "e.JFIF", "sub/c.Tif", "sub/deep/d.webp"]
    assert [path.name for path in Finder(tmp_path).find(tmp_path / "sub" / "deep")] == ["d.webp"]


def test_all_that_is_left_out_is_counted_and_named(tmp_path):
    touch(tmp_path, "a.png", "b.heic", "c.HEIC", "sub/d.avif", "Thumbs.db", "notes.txt", "1.xml", "2.xml")
    touch(tmp_path, "._a.png", ".git/x.png", "@eaDir/a.png", "__MACOSX/a.png", "sub/.thumbnails/t.png")
    found, said = search(tmp_path)
    assert found == ["a.png"]
    assert said == [
        "?left out 3 image files of formats that cannot be read (.heic 2, .avif 1): b.heic, c.HEIC, sub/d.avif; "
        'convert to PNG or JPEG what is to be read, or confirm with --data.exclude \'["*.HEIC", "*.avif", "*.heic"]\'',
        "left out 3 folders of the system's, such as thumbnails: @eaDir/, __MACOSX/, sub/.thumbnails/",
        "left out 2 hidden files and folders: ._a.png, .git/",
        "left out 4 files that are not images: 1.xml, 2.xml, Thumbs.db and 1 more",
    ]
    _, said = search(tmp_path, "*.heic", "*.HEIC", "sub/*.avif")
    assert said[-1] == "left out 3 files and folders, as --data.exclude says: b.heic, c.HEIC, sub/d.avif"
    assert not any(text.startswith("?") for text in said)


def test_masks_beside_images_are_left_out_and_named(tmp_path):
    touch(tmp_path, "a.jpg", "a_mask.png", "b.png", "b_GT.png", "b-ground_truth.png", "face_mask.png", "masks/a.png")
    touch(tmp_path, "sub/Ground_Truth/a.png", "mask/c.png")
    found, (said,) = search(tmp_path)
    assert found == ["a.jpg", "b.png", "face_mask.png", "mask/c.png"]
    assert said.startswith("?left out 5 masks beside images: a_mask.png, b-ground_truth.png, b_GT.png and 2 more; ")
    patterns = ["*-ground_truth.png", "*_GT.png", "a_mask.png", "Ground_Truth/", "masks/"]
    assert search(tmp_path, *patterns) == (
        found,
        ["left out 5 files and folders, as --data.exclude says: a_mask.png, b-ground_truth.png, b_GT.png and 2 more"],
    )
    confirm = said.partition("--data.exclude ")[2]
    assert confirm == '\'["*-ground_truth.png", "*_GT.png", "*_mask.png", "Ground_Truth/", "masks/"]\''


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["b.jpg", "sub/deep/c.jpg"]),
        ("a.png", ["b.jpg", "sub/deep/c.jpg"]),
        ("sub", ["a.png", "b.jpg"]),
        ("sub/", ["a.png", "b.jpg"]),
        ("./sub/*.png", ["a.png", "b.jpg", "sub/deep/c.jpg"]),
        ("sub/*", ["a.png", "b.jpg"]),
        ("sub/deep", ["a.png", "b.jpg", "sub/a.png"]),
        ("deep", ["a.png", "b.jpg", "sub/a.png"]),
        ("*/[c]*.jpg", ["a.png", "b.jpg", "sub/a.png"]),
    ],
)
def test_exclude(tmp_path, pattern, left):
    names = ["a.png", "b.jpg", "sub/a.png", "sub/deep/c.jpg"]
    touch(tmp_path, *names)
    found, said = search(tmp_path, pattern)
    assert found == left == [name for name in names if not is_excluded(name, [pattern])]
    assert len(said) == 1
    assert "as --data.exclude says" in said[0]


@pytest.mark.parametrize("pattern", ["*.PNG", "a.png/", "b", "/a.png", "sub/a.png"])
def test_a_pattern_that_matches_nothing_is_an_error(tmp_path, pattern):
    touch(tmp_path, "a.png", "sub/b.png")
    with pytest.raises(UsageError, match=r"exclude has '.*', which matches nothing"):
        search(tmp_path, "a.png", pattern)


def test_links_are_followed_only_on_request(tmp_path):
    root, outside = tmp_path / "inside", tmp_path / "outside"
    touch(root, "a.png", "sub/b.png")
    touch(outside, "secret.png", "deep/c.png")
    (root / "file.png").symlink_to(outside / "secret.png")
    (root / "sub/loop").symlink_to(root)
    (root / "folder").symlink_to(outside)
    (outside / "deep/back").symlink_to(root / "sub")
    (root / "same.png").symlink_to(root / "a.png")
    (root / "turning").symlink_to(root / "turning")
    found, said = search(root)
    assert found == ["a.png", "same.png", "sub/b.png"]
    assert said == [
        "?left out 1 link to a file outside of the folder: file.png; read what they lead to with --data.follow_links "
        "true, or confirm with --data.exclude file.png",
        "?left out 2 links to folders: folder, sub/loop; read what is in there with --data.follow_links true, or "
        'confirm with --data.exclude \'["folder", "sub/loop"]\'',
        "left out 1 file that is not an image: turning",
    ]
    found, said = search(root, follow_links=True)
    assert found == [
        *("a.png", "file.png", "folder/deep/back/b.png", "folder/deep/c.png", "folder/secret.png", "same.png"),
        "sub/b.png",
    ]
    assert said[0] == "left out 2 links to folders that they lie in: folder/deep/back/loop, sub/loop"


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "sub/b.png")
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match=r"folder .*sub cannot be read \(Permission denied\).*--data.exclude 'sub'"):
        search(tmp_path)
    assert search(tmp_path, "sub")[0] == ["a.png"]


@pytest.mark.parametrize(("name", "reason"), [("none", "no such folder"), ("file.png", "it is a file")])
def test_only_a_folder_is_searched(tmp_path, name, reason):
    (tmp_path / "file.png").touch()
    with pytest.raises(UsageError, match=rf"{name} was expected to be a folder of images, but .*{reason}"):
        search(tmp_path / name)
