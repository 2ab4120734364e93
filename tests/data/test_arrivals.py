"""Files that arrive in a folder are handed out once, and not before they are whole."""

import os

import pytest

from hscl_fast.data.arrivals import Arrivals

START = 1_000_000.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def arrivals(tmp_path, clock):
    return watching(tmp_path, clock)


def watching(folder, clock, done=lambda path: False):
    return Arrivals(folder, (), done, clock=clock, wall_clock=lambda: START + clock.now)


def write(path, text, clock):
    """Write a file whose time of change is that of the clock."""
    path.write_text(text)
    os.utime(path, (START + clock.now,) * 2)


def test_a_file_is_handed_out_when_it_has_stopped_growing(tmp_path, arrivals, clock):
    path = tmp_path / "a.png"
    for text in ("half", "more", "whole file"):
        write(path, text, clock)
        assert arrivals.whole() == []
        clock.now += 0.2
        assert arrivals.whole() == []
    clock.now += 0.2
    assert arrivals.whole() == [path]
    assert arrivals.whole() == [path]  # until something was done with it
    arrivals.finish(path)
    write(path, "changed", clock)
    clock.now += 1
    assert arrivals.whole() == []


def test_old_files_are_handed_out_at_once_and_those_that_were_done_never(tmp_path, clock):
    for name in ("b.png", "a.png", "done.png", "notes.txt", ".hidden.png"):
        write(tmp_path / name, "x", clock)
    clock.now += 100
    arrivals = watching(tmp_path, clock, lambda path: path.name == "done.png")
    assert arrivals.whole() == [tmp_path / "a.png", tmp_path / "b.png"]


def test_what_cannot_be_read_is_tried_again_for_a_while_and_once_more_when_it_changes(tmp_path, arrivals, clock):
    path = tmp_path / "a.png"
    write(path, "x", clock)
    arrivals.whole()
    tries, given_up = 0, False
    while not given_up:
        clock.now += 0.1
        for ready in arrivals.whole():
            tries += 1
            given_up = arrivals.failed(ready)
    assert tries == 5
    assert 7 < clock.now < 10
    assert arrivals.whole() == []
    write(path, "better", clock)
    arrivals.whole()
    clock.now += 0.4
    assert arrivals.whole() == [path]


def test_an_old_file_that_cannot_be_read_is_given_up_at_once(tmp_path, arrivals, clock):
    write(tmp_path / "a.png", "x", clock)
    clock.now += 100
    assert arrivals.whole() == [tmp_path / "a.png"]
    assert arrivals.failed(tmp_path / "a.png")
    assert arrivals.whole() == []


def test_what_disappears_is_no_error(tmp_path, clock):
    folder = tmp_path / "in"
    folder.mkdir()
    arrivals = watching(folder, clock)
    write(folder / "a.png", "x", clock)
    clock.now += 100
    assert arrivals.whole() == [folder / "a.png"]
    (folder / "a.png").unlink()
    assert not arrivals.failed(folder / "a.png")
    assert arrivals.whole() == []
    folder.rmdir()
    assert arrivals.whole() == []
    folder.mkdir()
    write(folder / "b.png", "x", clock)
    clock.now += 1
    assert arrivals.whole() == [folder / "b.png"]
