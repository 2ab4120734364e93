"""``hscl review`` without a browser: the order, the pictures, the page as text, and what is refused."""

import base64
import csv
import io
import json
import re
import shutil

import pytest
from PIL import Image
from review.reviewed import FAST, HOSTILE, make_folder, train

from hscl_fast.cli import main
from hscl_fast.evaluation.suspects import Suspect
from hscl_fast.review.order import in_order
from hscl_fast.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    train(make_folder(folder / "mine"), "--recipe", "cpu", *FAST, "--out", folder / "run")
    return folder / "run"


def review(*arguments):
    return main.run(["review", *map(str, arguments)])


def images_of(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)["images"]


def suspect(rank, uncertainty):
    return Suspect(rank, f"{rank}.png", -rank, 0.0, None, uncertainty, None)


def test_the_orders():
    suspects = [suspect(1, 0.1), suspect(2, 0.9), suspect(3, 0.5), suspect(4, 0.9)]

    def ranks(order, top=9):
        return [image.rank for image in in_order(suspects, order, top)]

    assert ranks("suspicious") == [1, 2, 3, 4]
    assert ranks("uncertain") == [2, 4, 3, 1]
    assert ranks("mixed") == [1, 2, 4, 3]
    assert [len(ranks(order, 3)) for order in ("suspicious", "uncertain", "mixed")] == [3, 3, 3]


def test_the_page_has_every_image_and_no_name_as_markup(run, capsys):
    assert review(run, "--order", "suspicious") == 0
    assert "review.html, 20 images" in capsys.readouterr().out
    page = RunDirectory(run).review_page
    text, images = page.read_text(), images_of(page)
    with RunDirectory(run).suspects.open(newline="", encoding="utf-8") as lines:
        ranked = [row["path"] for row in csv.DictReader(lines)]
    assert [image["rank"] for image in images] == [*range(1, 21)]
    assert {image["path"] for image in images} >= {f"train/unlabeled/{name}" for name in HOSTILE}
    assert "train/unlabeled/\\udcff.png" in {image["path"] for image in images}
    assert [image["path"] for image in images] == ranked
    assert "<script>alert" not in text
    assert "onerror" not in re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL)
    assert "default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-" in text
    assert not re.findall(r"https?:", re.sub(r'"data:image[^"]*"', "", text))
    for image in images:
        kind, _, data = image["uri"].partition(";base64,")
        assert kind == "data:image/png"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (image["width"], image["height"]) == (40, 24)


def test_large_images_are_shrunk_and_lost_ones_say_why(run, tmp_path, capsys):
    mine = tmp_path / "mine"
    shutil.copytree(run.parent / "mine", mine)
    (lost,) = (mine / "train/unlabeled").glob("=1+1.png")
    lost.unlink()
    (mine / "train/unlabeled/1.png").write_bytes(b"no image")
    out = tmp_path / "page.html"
    assert review(run, "--root", mine, "--side", 32, "--out", out, "--top", 20) == 0
    assert "2 images without a picture" in capsys.readouterr().out
    images = {image["path"]: image for image in images_of(out)}
    assert images["train/unlabeled/=1+1.png"]["problem"] == "there is no such file"
    assert images["train/unlabeled/1.png"]["uri"] == ""
    assert images["train/unlabeled/2.png"]["width"] == 32


def test_arrays_have_pictures_too(tmp_path, capsys):
    train("digits", "--recipe", "cpu", *FAST, "--out", tmp_path / "run")
    assert f"hscl review {tmp_path / 'run'}, to label" in capsys.readouterr().out
    assert review(tmp_path / "run", "--top", 5) == 0
    images = images_of(tmp_path / "run" / "review.html")
    assert len(images) == 5
    assert all(re.fullmatch(r"train/\d+", image["path"]) and image["width"] == 8 for image in images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top", "0"], "--top is 0, but must be between 1 and 5,000"),
        (["--side", "5000"], "--side is 5000, but must be between 32 and 4,096"),
        (["--order", "best"], "--order is 'best', but must be one of suspicious, uncertain or mixed"),
        (["--out", "."], "is a folder"),
        (["--out", "no/folder/page.html"], "folder"),
        (["--out", "-"], "writes an HTML file"),
        (["--root", "no-folder", "--out", "page.html"], "there is no such folder"),
    ],
)
def test_what_is_refused(run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert review(run, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_page_is_not_replaced_unasked_and_belongs_to_the_run(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    page = tmp_path / "run" / "review.html"
    page.unlink(missing_ok=True)
    assert review(tmp_path / "run") == 0
    page.write_text("old")
    assert review(tmp_path / "run") == 2
    assert "already exists" in capsys.readouterr().err
    assert page.read_text() == "old"
    assert review(tmp_path / "run", "--overwrite") == 0
    assert page.read_text() != "old"
    train(run.parent / "mine", "--recipe", "cpu", *FAST, "--out", tmp_path / "run", "--overwrite")
    assert not page.exists()
