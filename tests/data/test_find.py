import pytest

from hscl_fast.data.find import find_images
from hscl_fast.errors import UsageError


def test_find_images(tmp_path):
    for name in ("b.PNG", "a.jpeg", "sub/c.Tif", "sub/deep/d.webp", "notes.txt", "._b.png", ".cache/e.png", "noend"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["a.jpeg", "b.PNG", "sub/c.Tif", "sub/deep/d.webp"]
    assert [path.name for path in find_images(str(tmp_path / "sub" / "deep"))] == ["d.webp"]


def test_find_images_follows_no_link_out_of_the_folder(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.png").touch()
    (inside / "a.png").touch()
    (inside / "file.png").symlink_to(outside / "secret.png")
    (inside / "loop").symlink_to(inside)
    (inside / "folder").symlink_to(outside)
    (inside / "same.png").symlink_to(inside / "a.png")
    with pytest.warns(UserWarning, match=r"1 links .* lead outside .*file\.png"):
        found = [path.name for path in find_images(inside)]
    assert found == ["a.png", "same.png"]


@pytest.mark.parametrize(("name", "reason"), [("none", "no such folder"), ("file.png", "it is a file")])
def test_find_images_wants_a_folder(tmp_path, name, reason):
    (tmp_path / "file.png").touch()
    with pytest.raises(UsageError, match=rf"{name} was expected to be a folder of images, but .*{reason}"):
        find_images(tmp_path / name)
