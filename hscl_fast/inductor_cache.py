"""Sets the folder in which torch keeps compiled code between runs."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def set_inductor_cache_dir() -> Path:
    """Make torch keep compiled code in ``$XDG_CACHE_HOME/hscl_fast``, unless its variable is set; return the folder.

    Torch's default is a temporary folder, which parts of torch create when they are imported; call this before.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.setdefault(_VARIABLE, str(home / "hscl_fast" / "inductor")))
