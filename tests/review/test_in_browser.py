"""The page of ``hscl review`` in Chromium: judged by keys and by touch, downloaded, and trained with."""

import csv
import shutil
import time

import pytest
import yaml
from review.reviewed import FAST, HOSTILE, make_folder, train
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from hscl_fast.cli import main
from hscl_fast.runs.directory import RunDirectory

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs Debian's chromium and chromium-driver, which `make test` installs as root",
)
WORDS = {"1": "normal", "2": "abnormal", "3": "skip"}
ROLES = {"normal": 1, "abnormal": -1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    train(make_folder(folder / "mine"), "--recipe", "cpu", *FAST, "--out", folder / "run")
    assert main.run(["review", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # Its sandbox needs rights that a container does not give.
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def press(browser, *keys):
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def undo_with_control(browser):
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()


def text(browser, name):
    return browser.find_element(By.ID, name).text


def paths(browser):
    script = "return JSON.parse(document.getElementById('data').textContent).images.map((image) => image.path)"
    return browser.execute_script(script)


def filters(browser):
    return dict(button.text.split() for button in browser.find_elements(By.CSS_SELECTOR, "[data-filter]"))


def choose(browser, name):
    browser.find_element(By.CSS_SELECTOR, f"[data-filter={name}]").click()


def thumbs(browser):
    return sum(button.is_displayed() for button in browser.find_elements(By.CSS_SELECTOR, "nav button"))


def downloaded(browser, tmp_path):
    browser.find_element(By.ID, "download").click()
    path, end = tmp_path / "downloads" / "labels.csv", time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, "no labels.csv was downloaded"
        time.sleep(0.1)
    return path


def open_page(browser, run):
    browser.get(RunDirectory(run).review_page.as_uri())
    assert browser.get_log("browser") == []  # no script of a file name ran, and none of the page's was refused


def test_ten_images_are_judged_and_trained_with(run, browser, tmp_path, capsys):
    open_page(browser, run)
    names = paths(browser)
    judged = [WORDS[key] for key in "1223121122"]
    press(browser, *"1223121122")
    assert text(browser, "counts") == "10 of 20 judged: 4 normal, 5 abnormal, 1 skipped"
    press(browser, "u", "1")  # the tenth after all
    judged[9] = "normal"
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT, "1")  # the ninth, but no
    assert text(browser, "place") == "10 of 20"
    undo_with_control(browser)
    assert text(browser, "counts") == "10 of 20 judged: 5 normal, 4 abnormal, 1 skipped"
    assert filters(browser) == {"all": "20", "unjudged": "10", "normal": "5", "abnormal": "4", "skipped": "1"}
    choose(browser, "abnormal")
    assert thumbs(browser) == 4
    choose(browser, "unjudged")
    assert (thumbs(browser), text(browser, "place")) == (10, "11 of 20")

    browser.get("about:blank")  # a closed tab
    open_page(browser, run)
    assert text(browser, "counts") == "10 of 20 judged: 5 normal, 4 abnormal, 1 skipped"
    assert text(browser, "place") == "11 of 20"
    press(browser, "2", "u")  # undo is kept as well
    expected = [(name, word) for name, word in zip(names, judged, strict=False) if word != "skip"]
    file = downloaded(browser, tmp_path)
    with file.open(newline="", encoding="utf-8") as lines:
        assert list(csv.reader(lines, strict=True)) == [["path", "label"], *map(list, expected)]

    added = run.parent / "mine/train/unlabeled/added.png"
    shutil.copy(run.parent / "mine/train/normal/0.png", added)
    train("--from", run, "--data.labels", file, "--out", tmp_path / "next")
    assert "1 image not used, since the split record does not have them: train/unlabeled/added.png" in " ".join(
        capsys.readouterr().out.split()
    )
    added.unlink()
    record = yaml.safe_load(RunDirectory(tmp_path / "next").split.read_text())["train"]
    before = yaml.safe_load(RunDirectory(run).split.read_text())["train"]
    roles = dict(zip(record["image"], record["role"], strict=True))
    changed = {name: role for name, role in roles.items() if role != before["role"][before["image"].index(name)]}
    assert {name.encode("utf-8", "backslashreplace").decode(): role for name, role in changed.items()} == {
        name: ROLES[word] for name, word in expected
    }
    assert record["part"] == before["part"]


def test_every_name_comes_back_as_it_was(run, browser, tmp_path):
    open_page(browser, run)
    assert {f"train/unlabeled/{name}" for name in HOSTILE} < {*paths(browser)}
    press(browser, *"12" * 10)
    assert text(browser, "counts") == "20 of 20 judged: 10 normal, 10 abnormal, 0 skipped"
    choose(browser, "unjudged")
    assert text(browser, "problem") == "No image here is unjudged."
    press(browser, "1", Keys.ARROW_LEFT)  # nothing to judge
    file = downloaded(browser, tmp_path)
    train("--from", run, "--data.labels", file, "--out", tmp_path / "next")
    assert 0 not in yaml.safe_load(RunDirectory(tmp_path / "next").split.read_text())["train"]["role"]


def test_a_telephone_in_the_dark(run, browser):
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    open_page(browser, run)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 400
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(colour)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    assert browser.execute_script(colour) != light
    for label in ("abnormal", "skip"):
        button = browser.find_element(By.CSS_SELECTOR, f"[data-judge={label}]")
        box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", button)
        assert box["height"] >= 44  # for a thumb
        assert box["bottom"] <= 800  # without scrolling
        point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind, points in (("touchStart", [point]), ("touchEnd", [])):
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        time.sleep(0.5)
    assert text(browser, "counts") == "2 of 20 judged: 0 normal, 1 abnormal, 1 skipped"
    buttons = browser.find_elements(By.CSS_SELECTOR, "button")
    assert all(button.accessible_name for button in buttons if button.is_displayed())
