"""Which random number is used for what, in every form."""

from __future__ import annotations

from typing import Final

VIEW_STREAM: Final = 0  # of the counter-based generator
TURN_STREAM: Final = 3  # its own, so that the views of any number of rotations are some of those of four
TURNS: Final = 4  # quarter turns
TRIALS: Final = 10  # of a crop

# Places among a row's uniforms. Flip to grey take one each.
FLIP: Final = 0
JITTER: Final = 1
CONTRAST_FIRST: Final = 2
HUE: Final = 3
SATURATION: Final = 4
VALUE: Final = 5
CONTRAST: Final = 6
GRAY: Final = 7
AREA: Final = 8  # of the first trial
RATIO: Final = AREA + TRIALS
X: Final = RATIO + TRIALS
Y: Final = X + 1
COUNT: Final = Y + 1
