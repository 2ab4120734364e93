"""The progress shown while images are scored."""

import io
import re

from rich.console import Console

from hscl_fast.progress import image_progress


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
