"""Looks through a pickle before it is read, for what takes memory or time without end; nothing in it is run."""

from __future__ import annotations

import pickletools

_REFUSED = ("BYTEARRAY8", "FROZENSET", "EMPTY_SET", "DUP")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")


def _operations(data: bytes) -> list[tuple[pickletools.OpcodeInfo, object, int | None]]:
    try:
        return list(pickletools.genops(data))
    except Exception as error:  # a damaged stream makes the reader raise almost anything
        raise ValueError(f"its pickle is damaged ({type(error).__name__}: {error})") from None


def check_operations(data: bytes) -> set[str]:
    """Return the names that a pickle's ``GLOBAL`` operations ask for, such as ``os system``.

    Raises
    ------
    ValueError
        It is damaged; or it would make the unpickler reserve memory of any size, or hash a tuple that holds another
        twice, which holds another twice, and so on.
    """
    names: set[str] = set()
    tuples: set[int] = set()
    stored, before = 0, ""
    for operation, value, _ in _operations(data):
        name, argument = operation.name, str(value)
        if name in _REFUSED:
            raise ValueError(f"it has the operation {name}, which a data file has no reason to use")
        if name in _PUTS or name == "MEMOIZE":
            place = stored if name == "MEMOIZE" else int(argument)
            if place > len(data):
                raise ValueError(f"it asks for {place:,} places in memory")
            if before in _TUPLES:
                tuples.add(place)
            stored += 1
        elif name in _GETS and int(argument) in tuples:
            raise ValueError("it uses a tuple twice, which a data file has no reason to do")
        elif name == "GLOBAL":
            names.add(argument)
        before = name
    return names
