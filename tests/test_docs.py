"""The documentation: its commands run, its links are valid, its options exist, its tables are up to date.

A page is read for its fenced blocks. Those of ``console`` (commands after ``$``) and ``python`` are run, in order and
in one folder that has a data set ``mine/``, unless an HTML comment directly above a block changes that:

- ``<!-- not run: REASON -->``: it cannot run here.
- ``<!-- run with: FLAGS -->``: every ``hscl train`` in it gets these flags too.
- ``<!-- replace: OLD -> NEW -->``: a smaller number in its place.
- ``<!-- needs: runs/mine -->``: a trained run of that name is there.
"""

import importlib.util
import re
import shlex
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from hscl_fast.export import export_run

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "kernels" / "README.md"]
LANGUAGES = {"console", "python", "text", "yaml"}
DIRECTIVE = re.compile(r"<!-- (not run|run with|replace|needs): (.+) -->")
SHORT = ["--optim.max_steps=2", "--data.image_size=16"]


def named(path):
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its lines, and what the comments above it ask for."""

    place: str
    language: str
    text: str
    asks: dict[str, str]

    @property
    def commands(self):
        """The commands of a ``console`` block, without prompts, comments and output."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.removeprefix("$ ") for line in joined.splitlines() if line.startswith("$ ")]
        return [shlex.split(line, comments=True) for line in lines]


def blocks(page):
    found, asks, fence = [], {}, None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if fence is not None:
            if line == "```":
                place, language, lines = fence
                found.append(Block(place, language, "\n".join(lines), asks))
                asks, fence = {}, None
            else:
                fence[2].append(line)
        elif line.startswith("```"):
            fence = (f"{named(page)}:{number}", line.removeprefix("```"), [])
        elif directive := DIRECTIVE.fullmatch(line):
            asks = {**asks, directive[1]: directive[2]}
        else:
            asks = {}
    assert fence is None, f"{fence[0]}: the block has no end"
    return found


RUNNABLE = [page for page in PAGES if any(b.language in ("console", "python") for b in blocks(page))]


# The files that the pages assume.


def draw(folder, count, rng, brightness=0):
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = rng.integers(0, 156, (20, 16, 3)) + brightness
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with ``mine/`` and ``mine.csv`` as docs/data.md describes them, ``other/`` and ``new_images/``."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    draw(folder / "mine/train/unlabeled", 20, rng)
    draw(folder / "mine/train/normal", 6, rng)
    draw(folder / "mine/train/abnormal", 6, rng, 100)
    draw(folder / "mine/test/normal", 4, rng)
    draw(folder / "mine/test/abnormal/scratch", 4, rng, 100)
    draw(folder / "new_images", 2, rng)
    draw(folder / "other/normal", 3, rng)
    draw(folder / "other/abnormal", 3, rng, 100)
    labels = {"unlabeled": 0, "normal": 1, "abnormal": -1}
    rows = [
        f"{path.relative_to(folder / 'mine')},{labels[path.relative_to(folder / 'mine').parts[1]]},{part}"
        for part in ("train", "test")
        for path in sorted((folder / "mine" / part).rglob("*.png"))
    ]
    (folder / "mine.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """A run on ``mine/``, made once for all pages that need one."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(images, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_hscl(["train", "mine", "--out", "runs/mine", *SHORT], "the run that pages share")
    return folder / "runs"


def run_hscl(arguments, place):
    from hscl_fast.cli.main import run

    try:
        code = run(arguments)
    except SystemExit as end:  # --help and --print_config
        code = end.code or 0
    assert code == 0, f"{place}: `hscl {shlex.join(arguments)}` exited with {code}"


def run_console(block):
    extra = shlex.split(block.asks.get("run with", ""))
    for program, *arguments in block.commands:
        assert program == "hscl", f"{block.place}: `{program}` is not run here; say why with <!-- not run: ... -->"
        run_hscl([*arguments, *(extra if arguments[0] == "train" else [])], block.place)


def run_python(block, names):
    source = block.text
    if "replace" in block.asks:
        old, new = block.asks["replace"].split(" -> ")
        assert old in source, f"{block.place}: there is no {old} to replace"
        source = source.replace(old, new)
    exec(compile(source, block.place, "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=named)
def test_the_blocks_of_a_page_run(page, images, tmp_path, monkeypatch, request):
    shutil.copytree(images, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(export_run, "peak_memory", lambda *arguments: None)  # which takes two processes
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if "not run" in block.asks:
            continue
        if run := block.asks.get("needs"):
            shutil.copytree(request.getfixturevalue("trained"), tmp_path / Path(run).parent)
        if block.language == "console":
            run_console(block)
        elif block.language == "python":
            run_python(block, names)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_has_a_known_language(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.place}: ```{block.language}"
        if block.language == "console":
            assert block.commands, f"{block.place}: no line begins with `$ `"
    assert not re.search(r"^(    |\t)(hscl|make|pip|python|torchrun) ", unfenced(page), re.M), "an unfenced command"


# Links.


def unfenced(page):
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page):
    """The anchors that GitHub gives the headings of a page."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", unfenced(page), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


@pytest.mark.parametrize("page", LINKED, ids=named)
def test_links_are_valid(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", unfenced(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)}: there is no {target}"
        if anchor:
            assert anchor in anchors(file), f"{named(page)}: {path or named(page)} has no heading #{anchor}"


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "README.md" or f"({page.name})" in index


# Options and targets of make exist.


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=named)
def test_options_and_targets_exist(page):
    from hscl_fast.config.sections import SECTIONS

    text = page.read_text(encoding="utf-8")
    options = {f"{name}.{field.name}" for name, section in SECTIONS.items() for field in fields(section)}
    shown = set(re.findall(r"--([a-z]+\.[a-z_]+)\b", text))
    assert shown <= options, f"{named(page)}: no such option: {sorted(shown - options)}"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    made = set(re.findall(r"(?:`|\$ |^ {4})make ([a-z-]+)", text, re.M))
    assert made <= targets, f"{named(page)}: make has no target {sorted(made - targets)}"


# Generated tables.


def options_tables():
    spec = importlib.util.spec_from_file_location("options_tables", ROOT / "docs" / "options_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_option_is_on_its_page():
    module = options_tables()
    page = module.PAGE.read_text(encoding="utf-8")
    assert module.updated(page) == page, "run: python docs/options_tables.py"


def test_every_option_is_described():
    from hscl_fast.config.sections import SECTIONS

    for section in SECTIONS.values():
        described = options_tables().describe_fields(section)
        assert list(described) == [field.name for field in fields(section)]
        assert all(described.values())


def test_every_data_set_is_on_its_page():
    from hscl_fast.data.named.registry import describe_sources

    rows = re.findall(r"^\| `(\w+)` \| ", (ROOT / "docs" / "data.md").read_text(encoding="utf-8"), re.M)
    assert rows == [source.name for source in describe_sources()]


def test_tables_of_benchmarks_are_those_of_the_results():
    from benchmarks.docs_page import read_results, updated_page, updated_readme

    results = read_results(ROOT / "benchmarks" / "results")
    for path, updated in (("docs/benchmarks.md", updated_page), ("README.md", updated_readme)):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert updated(text, results) == text, (
            "run: python -m benchmarks.docs_page benchmarks/results docs/benchmarks.md README.md"
        )


def test_tables_of_accuracy_are_those_of_the_results():
    from benchmarks.accuracy.page import updated_page
    from benchmarks.accuracy.results import read_results

    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    results = read_results(ROOT / "benchmarks" / "results" / "accuracy.json")
    assert updated_page(page, results) == page, "run: python -m benchmarks.accuracy"


# The README.


def test_the_readme_stays_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    assert max(map(len, lines)) <= 100


def test_pictures_are_small():
    for picture in ROOT.glob("docs/images/*"):
        assert picture.suffix in (".png", ".svg")
        assert picture.stat().st_size < 200_000
