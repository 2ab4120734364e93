"""A parser whose errors are plain sentences: which option has which wrong value, and what it must be."""

from __future__ import annotations

import argparse
import re
import types
from collections.abc import Callable
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from jsonargparse import ArgumentParser, get_loader

from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_load_yaml = get_loader("yaml")


class PlainParser(ArgumentParser):
    """jsonargparse's parser, but its errors are :class:`UsageError`, and a flag may not be abbreviated."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(exit_on_error=False, allow_abbrev=False, **keywords)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a UsageError that says it in words; in the parser's own if it is none of the usual mistakes."""
        for pattern, explain in _EXPLAINED.items():
            if found := re.search(pattern, message, re.DOTALL):
                raise UsageError(explain(self, *found.groups())) from ex
        text = " ".join(message.split()).rstrip(".")
        raise UsageError(f"{text}.{_see(self)}") from ex


def expectation(hint: Any) -> str:
    """Return in words what a value of a type is.

    >>> expectation(Literal["auto", "off", "default"])
    'one of auto, off or default'
    >>> expectation(Literal[1, 2, 4])
    'one of 1, 2 or 4'
    >>> expectation(int | None)
    'a whole number, or null'
    >>> expectation(tuple[float, float])
    'two numbers such as [0.5, 1.0]'
    """
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        (known,) = (some for some in inner if some is not type(None))
        return f"{expectation(known)}, or null"
    if kind is Literal:
        return f"one of {', '.join(map(str, inner[:-1]))} or {inner[-1]}"
    if kind is tuple:
        return "two numbers such as [0.5, 1.0]"
    return _WORDS[hint]


def _wrong_value(parser: ArgumentParser, key: str, reason: str) -> str:
    """Explain a value of the wrong type."""
    parser, action = _find(parser, key)
    hint, flag = getattr(action, "_typehint", None), _flag(action, key)
    if hint is None:
        if "Unable to load config" in reason:
            return f"{flag} stands for a whole section. Set its fields one by one, as in `{flag}.FIELD VALUE`."
        return f"{flag}: {' '.join(reason.split()).rstrip('.')}.{_see(parser)}"
    found = re.search(r".*\b(?:Got|Given) value:(.*)", reason, re.DOTALL)  # the last one is that of the whole
    if found is None:
        return f"{flag} has a value that cannot be read, but must be {expectation(hint)}.{_see(parser)}"
    text = found[1].strip()
    choices = [choice for some in (hint, *get_args(hint)) if get_origin(some) is Literal for choice in get_args(some)]
    fix = did_you_mean(text, map(str, choices))
    if re.fullmatch(r"[+-]?\d{1,3}([ ,']\d{3})+", text):
        fix = f" Write it as {re.sub(r'[^-+0-9]', '', text)}."
    return f"{flag} is {_as_written(text)}, but must be {expectation(hint)}.{fix}{_see(parser)}"


def _as_written(text: str) -> str:
    """Return a value as YAML has it: the parser's messages quote no text."""
    if text in ("None", "True", "False"):
        return {"None": "null", "True": "true", "False": "false"}[text]
    try:
        return repr(text) if isinstance(_load_yaml(text), str) or not text else text
    except Exception:  # whatever the loader raises for what is not YAML
        return repr(text)


def _unknown_flag(parser: ArgumentParser, listed: str) -> str:
    first = listed.split()[0]
    if not first.startswith("-"):
        takes = [action.dest for action in parser._actions if not action.option_strings]
        expected = f"only {' and '.join(takes)}" if takes else "none"
        return f"{listed!r} is an argument too many: expected {expected} without a flag before it.{_see(parser)}"
    flag = first.partition("=")[0]
    known = [_flag(action, action.dest) for action in parser._actions if action.option_strings]
    return f"there is no flag {flag}.{did_you_mean(flag, known)}{_see(parser)}"


def _unknown_command(parser: ArgumentParser, word: str) -> str:
    assert parser._subcommands_action is not None
    names, program = list(parser._subcommands_action.choices), _program(parser)
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{program} has no command {word!r}.{did_you_mean(word, names)} Its commands are {listed}."


def _missing(parser: ArgumentParser, listed: str) -> str:
    found = [(key, *_find(parser, key)) for key in listed.split(", ")]
    names = [_flag(action, key) for key, _, action in found]
    inner = found[0][1]
    return f"`{_program(inner)}` needs {' and '.join(names)}.{_see(inner)}"


def _flag_without_value(parser: ArgumentParser, flag: str) -> str:
    hint = getattr(parser._option_string_actions.get(flag), "_typehint", None)
    return f"{flag} has no value{f', but must be {expectation(hint)}' if hint else ''}.{_see(parser)}"


def _switch_with_value(parser: ArgumentParser, flag: str, value: str) -> str:
    return f"{flag} takes no value, but was given {value}. Give it alone, or leave it out.{_see(parser)}"


_EXPLAINED: dict[str, Callable[..., str]] = {
    r"^Parser key \"([\w.-]+)\"[^:]*:(.*)": _wrong_value,
    r"^unrecognized arguments: (.*)": _unknown_flag,
    r"invalid choice: '(.*?)' \(choose from": _unknown_command,
    r"^the following arguments are required: (.*)": _missing,
    r"^argument (\S+): expected (?:one|at least one) argument": _flag_without_value,
    r"^argument (\S+): ignored explicit argument (.*)": _switch_with_value,
}


def _find(parser: ArgumentParser, key: str) -> tuple[ArgumentParser, argparse.Action | None]:
    """Return the action that a key belongs to, and its parser; a key may begin with commands."""
    command, _, rest = key.partition(".")
    commands = parser._subcommands_action
    if commands is not None and command in commands.choices:
        return _find(commands.choices[command], rest)
    return parser, next((action for action in parser._actions if action.dest == key), None)


def _flag(action: argparse.Action | None, key: str) -> str:
    """Return what a user calls an option."""
    if action is None:
        return f"--{key}"
    return next((name for name in action.option_strings if name.startswith("--")), action.dest)


def _program(parser: ArgumentParser) -> str:
    return parser.prog.replace(" [options]", "")


def _see(parser: ArgumentParser) -> str:
    return f" See `{_program(parser)} --help`."
