"""Reads the pickles in which CIFAR is distributed, without running any code in them.

The official files hold dictionaries of lists and of uint8 arrays. Array and dtype are rebuilt here by inert
stand-ins, so that not even numpy's own unpickling code sees bytes from the file.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from hscl_fast.pickle_operations import check_operations


class _Dtype:
    def __init__(self, name: object, *_flags: object) -> None:
        self.name = name

    def __setstate__(self, _state: object) -> None:
        """Ignore byte order and the like, which mean nothing for uint8."""


class _Array:
    """Holds the state that numpy pickles: version, shape, dtype, whether it is in Fortran order, raw bytes."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def to_numpy(self) -> npt.NDArray[np.uint8]:
        _version, shape, dtype, fortran, raw = self.state
        if not isinstance(dtype, _Dtype) or dtype.name != "u1":
            raise ValueError("it holds an array that is not uint8")
        # Python 2 wrote byte strings, which arrive as Latin-1 text.
        if not isinstance(raw, str | bytes) or type(shape) is not tuple:
            raise ValueError("it holds an array without bytes")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(data, np.uint8).reshape(tuple(shape), order="F" if fortran else "C")


class _Marker:
    """Stands for the class ``numpy.ndarray``, which the pickles only name."""


def _reconstruct(*_arguments: object) -> _Array:
    return _Array()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise ValueError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


# Both spellings of numpy's module, and the function that Python 3 writes for bytes in protocol 2.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(f"it asks to run {module}.{name}, which a data file has no reason to do") from None


def load_arrays(data: bytes) -> dict[str, Any]:
    """Read a pickled dictionary of lists, strings and uint8 arrays.

    Parameters
    ----------
    data
        The pickle, of Python 2 or 3.

    Returns
    -------
    dict
        Arrays as uint8 numpy arrays, everything else as plain Python values.

    Raises
    ------
    ValueError
        The pickle is damaged, names anything but numpy arrays, or is not a dictionary. Nothing in it has been run.
    """
    try:
        check_operations(data)
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, expected a dictionary")
        if not all(isinstance(key, str) for key in content):
            raise ValueError("it has a key that is not text")
        return {key: v.to_numpy() if isinstance(v, _Array) else v for key, v in content.items()}
    except ValueError:
        raise
    except Exception as error:  # a damaged stream makes the unpickler raise almost anything
        raise ValueError(f"its pickle is damaged ({type(error).__name__}: {error})") from None
