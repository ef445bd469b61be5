"""YAML as people expect it, where ``yaml.safe_load`` surprises them.

``on``, ``off``, ``yes`` and ``no`` are words and ``1:30`` is text, as in YAML 1.2, so a task may be
named so; a key that stands twice is an error, as in JSON; and no document, however nested, ends the
process.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

_BOOL = "tag:yaml.org,2002:bool"
_STR = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

# libyaml is ten times faster, but is not built everywhere.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Invalid(Exception):
    """Not YAML; the text says where."""


class TooDeep(Exception):
    """Nested deeper than allowed."""


class _Loader(_Base):  # type: ignore[misc]  # one of two classes
    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in rules if tag != _BOOL]
        for first, rules in _Base.yaml_implicit_resolvers.items()
    }

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> Any:
        """What ``value`` is, if nothing says so: no number to the base of 60."""
        tag = super().resolve(kind, value, implicit)
        return _STR if tag in _NUMBERS and value and ":" in value else tag

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Dates, numbers and explicit tags raise whatever Python raises; say where instead."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            raise Invalid(f"{_where(node.start_mark)}{node.value!r} is no {kind}") from None

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge ``<<``, keeping the last of equal keys at once: merges of merges would otherwise
        double with each level."""
        super().flatten_mapping(node)
        last = {(key.tag, str(key.value)): (key, value) for key, value in node.value}
        if len(last) < len(node.value):
            node.value = list(last.values())


_Loader.add_implicit_resolver(_BOOL, re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))


def load(text: str, max_depth: int) -> Any:
    """The one document in ``text``."""
    try:
        _check_events(text, max_depth)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        if "maximum nesting depth" in str(error.problem):  # newer libyaml has a limit of its own
            raise TooDeep from None
        raise Invalid(_sentence(error)) from None
    except RecursionError:
        raise TooDeep from None
    except yaml.YAMLError as error:
        raise Invalid(" ".join(str(error).split())) from None


def dump(value: Any) -> str:
    """Plain values as people write them: what has lines, in lines."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """What is there twice is written twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(_STR, text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    text = error.problem or error.context or "it cannot be read"
    return _where(error.problem_mark or error.context_mark) + " ".join(text.split())


def _where(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


class _Level:
    """An open collection; of a mapping, the keys so far and whether a key comes next."""

    def __init__(self, *, is_mapping: bool) -> None:
        self._is_mapping = is_mapping
        self._expects_key = True
        self._keys: set[str] = set()

    def meet(self, event: yaml.Event) -> None:
        """The next item."""
        if self._is_mapping:
            if self._expects_key and isinstance(event, yaml.ScalarEvent):
                self._enter(event)
            self._expects_key = not self._expects_key

    def _enter(self, event: yaml.ScalarEvent) -> None:
        if event.value in self._keys and event.value != "<<":
            text = f"the key {event.value!r} stands twice in one mapping"
            raise Invalid(f"{_where(event.start_mark)}{text}")
        self._keys.add(event.value)


def _check_events(text: str, max_depth: int) -> None:
    """Look at the events first: they come without recursion, while libyaml's composer overflows
    the stack on a deep document."""
    levels: list[_Level] = []
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
        elif isinstance(event, yaml.NodeEvent):
            if levels:
                levels[-1].meet(event)
            if isinstance(event, yaml.CollectionStartEvent):
                levels.append(_Level(is_mapping=isinstance(event, yaml.MappingStartEvent)))
                if len(levels) > max_depth:
                    raise TooDeep
