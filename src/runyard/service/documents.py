"""Read a JSON, TOML or YAML document into plain values, and say in one sentence where it is bad.

Plain means: objects with text as keys, lists, text, finite numbers, truth values and null, no
deeper than ``MAX_DEPTH``. Whoever gets such a value may walk it without fear.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from runyard.errors import InvalidJobFile

STDIN = "-"
MAX_BYTES = 256 << 20
MAX_DEPTH = 100

Parser = Callable[[str], Any]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds; ``label`` is what messages call the file."""

    label: str
    value: Any


class Fault(Exception):
    """Something is wrong with a document; the text does not say which document."""


def read(path: str, stdin: BinaryIO | None = None) -> Document:
    """The document in the file at ``path``; ``-`` means ``stdin``, by default this process's."""
    label = "standard input" if path == STDIN else one_line(path)
    try:
        text = _decode(_bytes(path, stdin))
        return Document(label, _Plain(len(text)).value((), _parser(path)(text)))
    except Fault as fault:
        raise invalid(label, str(fault)) from None


def written(label: str, text: str) -> Document:
    """The document that somebody wrote into a form, in JSON or YAML: a short text can have TOML
    take minutes."""
    try:
        value = _json_or(text, [_yaml]) if _is_bracketed(text) else _yaml(text)
        return Document(label, _Plain(len(text)).value((), value))
    except Fault as fault:
        raise invalid(label, str(fault)) from None


def plain(label: str, value: Any) -> Any:
    """The same for a value that came from elsewhere, say out of a request."""
    try:
        return _Plain(0).value((), value)
    except Fault as fault:
        raise invalid(label, str(fault)) from None


def invalid(label: str, text: str) -> InvalidJobFile:
    """The error for a fault in the document called ``label``."""
    return InvalidJobFile(f"{label}: {one_line(text)}")


def one_line(text: str) -> str:
    """A text from outside that keeps to its line and leaves the terminal alone."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def is_unicode(text: str) -> bool:
    """False for text with half a surrogate pair in it, which JSON can write but nobody encode."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def spelled(place: Place) -> str:
    """``("tasks", 3, "env", "A B")`` as ``tasks[3].env['A B']``."""
    text = ""
    for step in place:
        if isinstance(step, str) and step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text or "the top level"


# Reading.


def _bytes(path: str, stdin: BinaryIO | None) -> bytes:
    try:
        if path == STDIN:
            data = (stdin or sys.stdin.buffer).read(MAX_BYTES + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Fault("there is no such file") from None
    except IsADirectoryError:
        raise Fault("this is a directory, not a file") from None
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise Fault(f"larger than {MAX_BYTES >> 20} MiB")
    return data


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Fault(f"not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}") from None


def _parser(path: str) -> Parser:
    by_suffix: dict[str, Parser] = {
        ".json": _json,
        ".toml": _toml,
        ".yaml": _yaml,
        ".yml": _yaml,
    }
    suffix = "" if path == STDIN else PurePath(path).suffix.lower()
    return by_suffix.get(suffix, _by_content)


def _by_content(text: str) -> Any:
    """JSON begins with a bracket; of what does not, hardly anything is TOML but TOML."""
    if _is_bracketed(text):
        return _json_or(text, [_toml, _yaml])
    return _first_that_reads(text, [_toml], None) if _has_toml(text) else _yaml(text)


def _is_bracketed(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _json_or(text: str, others: Iterable[Parser]) -> Any:
    try:
        return _json(text)
    except Fault as fault:
        if not str(fault).startswith(_NOT_JSON):
            raise
        return _first_that_reads(text, others, fault)


def _has_toml(text: str) -> bool:
    try:
        return bool(_toml(text))
    except Fault:
        return False


def _first_that_reads(text: str, parsers: Iterable[Parser], otherwise: Fault | None) -> Any:
    for parse in parsers:
        try:
            return parse(text)
        except Fault as fault:
            otherwise = otherwise or fault
    assert otherwise is not None
    raise otherwise


# The three languages.

_NOT_JSON = "not valid JSON"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Fault(f"{_NOT_JSON}: {where}: {error.msg}") from None
    except RecursionError:
        raise Fault(_TOO_DEEP) from None
    except ValueError as error:  # a number with more digits than Python converts
        raise Fault(f"cannot be read: {error}".partition(";")[0]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        name = found.get("name")
        whose = f" (in the object named {name!r})" if isinstance(name, str) else ""
        raise Fault(f"the key {twice!r} stands twice in one object{whose}")
    return found


def _no_constant(word: str) -> Any:
    raise Fault(f"{word} is no JSON number")


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Fault(f"not valid TOML: {error}") from None
    except RecursionError:
        raise Fault(_TOO_DEEP) from None
    except ValueError as error:
        raise Fault(f"cannot be read: {error}") from None


def _yaml(text: str) -> Any:
    from runyard.service import yaml12

    try:
        return yaml12.load(text, MAX_DEPTH)
    except yaml12.TooDeep:
        raise Fault(_TOO_DEEP) from None
    except yaml12.Invalid as error:
        raise Fault(f"not valid YAML: {error}") from None


class _Plain:
    """Turns what a parser returned into plain values, in one walk."""

    def __init__(self, length: int) -> None:
        # Every value takes a character, unless YAML aliases repeat it: a thousand bytes of them
        # can stand for more values than there is memory.
        self._left = length + 1_000_000

    def value(self, place: Place, value: Any) -> Any:
        """``value`` made plain; ``place`` is where it stands."""
        self._left -= 1
        if self._left < 0:
            raise Fault("its aliases stand for too many values")
        if isinstance(value, dict | list):
            return self._collection(place, value)
        if isinstance(value, str):
            return _unicode(place, value)
        if isinstance(value, int | float):  # a truth value is an int, too
            return _number(place, value)
        if isinstance(value, date | time):  # a datetime is a date, too
            return value.isoformat()
        if value is None:
            return value
        raise Fault(f"{spelled(place)}: a value of type {type(value).__name__} has no place here")

    def _collection(self, place: Place, value: dict[Any, Any] | list[Any]) -> Any:
        if len(place) >= MAX_DEPTH:
            raise Fault(_TOO_DEEP)
        if isinstance(value, list):
            return [self.value((*place, index), item) for index, item in enumerate(value)]
        return {self._key(place, key): self.value((*place, key), value[key]) for key in value}

    def _key(self, place: Place, key: Any) -> str:
        if not isinstance(key, str):
            word = json.dumps(key, default=str)
            raise Fault(f"{spelled(place)}: the key {word} must be text: put it into quotes")
        return _unicode((*place, key), key)


def _number(place: Place, value: float) -> float:
    # Python refuses to print longer ones; TOML and YAML can write them in hexadecimal.
    if isinstance(value, int) and value.bit_length() > 1024:
        raise Fault(f"{spelled(place)}: the number has too many digits")
    if not math.isfinite(value):
        raise Fault(f"{spelled(place)}: {value} is no finite number")
    return value


def _unicode(place: Place, text: str) -> str:
    if not is_unicode(text):
        raise Fault(f"{spelled(place)}: half a surrogate pair is no valid Unicode")
    return text


def directory_of(path: str) -> Path:
    """The directory that relative paths in the document at ``path`` start from."""
    try:
        return Path.cwd() if path == STDIN else Path(path).absolute().parent
    except OSError:
        raise InvalidJobFile("the current directory is gone: change to another one") from None
