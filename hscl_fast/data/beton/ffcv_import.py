"""The one place that imports FFCV, with its side effects contained."""

from __future__ import annotations

import functools
import importlib.util
from types import ModuleType

from hscl_fast.errors import UsageError

INSTALL = "pip install 'hscl-fast[ffcv]' (on Debian first apt-get install pkg-config libopencv-dev libturbojpeg0-dev)"


def ffcv_is_installed() -> bool:
    """Return whether FFCV can be found, without the seconds that importing it takes."""
    return importlib.util.find_spec("ffcv") is not None


@functools.cache
def import_ffcv() -> ModuleType:
    """Import FFCV; torch's number of threads stays as it is, now and whenever FFCV would set it.

    Raises
    ------
    UsageError
        FFCV is not installed, or does not load.
    """
    import torch  # here, so that a .beton can be opened without it

    threads = torch.get_num_threads()
    try:
        import ffcv
        import ffcv.libffcv
        import ffcv.loader.epoch_iterator
    except (ImportError, OSError) as error:  # OSError: one of its C libraries is not there
        raise UsageError(
            f"FFCV cannot be imported ({error}). Install it: {INSTALL}; or leave it out with --runtime.loader torch."
        ) from error
    finally:
        torch.set_num_threads(threads)
    import numba
    from ffcv.pipeline.compiler import Compiler

    def set_num_threads(cls: type, count: int) -> None:
        # FFCV's also sets torch's, for the whole process and from a background thread.
        cls.num_threads = min(count, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        numba.set_num_threads(cls.num_threads)  # type: ignore[attr-defined]

    Compiler.set_num_threads = classmethod(set_num_threads)
    return ffcv
