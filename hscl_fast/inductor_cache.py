"""Where compiled code is kept from run to run."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def set_inductor_cache_dir() -> Path:
    """Have torch keep compiled code in ``$XDG_CACHE_HOME/hscl_fast``, unless its variable is set; return the folder.

    Torch's own choice is a temporary folder, and parts of torch create it when they are imported: call this before.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.setdefault(_VARIABLE, str(home / "hscl_fast" / "inductor")))
