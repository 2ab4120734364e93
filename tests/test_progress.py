"""The progress shown while a network trains and while images are scored."""

import io
import re

import pytest
from rich.console import Console

from hscl_fast.progress import TrainingProgress, image_progress


def shown(*, terminal):
    text = io.StringIO()
    with image_progress(Console(file=text, force_terminal=terminal, width=120), "scoring", 3000) as advance:
        advance(1000)
        advance(500)
    return text.getvalue()


def test_a_terminal_sees_images_done_and_their_rate():
    text = shown(terminal=True)
    assert "scoring" in text
    assert "1,500/3,000 images" in text
    assert re.findall(r"([\d,]+) images/s", text)[-1] != "0"


def test_a_file_sees_nothing():
    assert not shown(terminal=False).strip()


def training_line(width, skipped=0):
    """The last line of a training's bar on a terminal of a width, without colours."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width)
    losses = {"loss": "loss", "self_supervised": "S-S", "prototype": "S-P", "abnormal": "N-A"}
    row = {"step": 300, "views_per_second": 12345.6, "seconds_left": 3000.0, "skipped_updates": skipped}
    row |= {"loss": 6.735, "self_supervised": 6.239, "prototype": 0.461, "abnormal": 0.036}
    with TrainingProgress(console, losses, done=0, total=12500, steps_per_epoch=50) as progress:
        progress.advance(300)
        progress.log(row)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).replace("\r", "\n")
    return plain.strip().splitlines()[-1]


TIME_LEFT = r"(-|\d+):[-\d]{2}:[-\d]{2} left"


@pytest.mark.parametrize(
    ("width", "shown", "left_out"),
    [
        (50, (), ("loss", "views/s", "elapsed")),
        (60, ("loss 6.735",), ("views/s", "S-S", "elapsed")),
        (80, ("loss 6.735", "12,346 views/s"), ("S-S", "elapsed")),
        (100, ("loss 6.735", "12,346 views/s", "S-S 6.239", "S-P 0.461"), ("N-A", "elapsed")),
        (120, ("loss 6.735", "12,346 views/s", "S-S 6.239", "S-P 0.461", "N-A 0.036"), ("elapsed",)),
        (160, ("12,346 views/s", "N-A 0.036", "elapsed"), ()),
    ],
)
def test_a_narrow_terminal_keeps_the_time_left_and_loses_loss_terms_first(width, shown, left_out):
    line = training_line(width)
    assert len(line) <= width
    assert "…" not in line
    assert re.search(rf"^epoch 7/250 \S+.* 300/12500 steps  {TIME_LEFT}", line)
    assert all(part in line for part in shown)
    assert not any(part in line for part in left_out)


def test_skipped_updates_come_before_the_losses():
    assert re.search(rf"{TIME_LEFT}  skipped 3", training_line(80, skipped=3))
