"""Routing: who gets a message. Each party says what it accepts from whom; a message goes to all that accept it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """What a party accepts from one source: `accept` names, or, where that is empty, all but those in `ignore`."""

    accept: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()

    def takes(self, routing_name: str) -> bool:
        """Whether a message of this routing name passes."""
        return routing_name in self.accept if self.accept else routing_name not in self.ignore


EVERYTHING = Rule()


def parse_rule(value: Any) -> Rule:
    """The rule of a definition: "*", "Name", ["A", "B"], {"accept": any of these} or {"ignore": ["A"]}.

    Where something is accepted by name, `ignore` does not matter. Other keys beside these two mean nothing. Raise
    ValueError for anything else.
    """
    if not isinstance(value, dict):
        return Rule(accept=_names(value))
    if value and not value.keys() & {"accept", "ignore"}:
        raise ValueError(f"a rule has accept and ignore, not {', '.join(sorted(value))}")
    accept = _names(value.get("accept", "*"))
    if accept:
        return Rule(accept=accept)
    ignored = value.get("ignore", [])
    ignore = _names(ignored)
    if ignored and not ignore:
        raise ValueError("a rule that ignores everything is written by not naming the source")
    return Rule(ignore=ignore)


def routes(rules: Mapping[str, Mapping[str, Rule]], arrays: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Rule]]:
    """Who may get what from each source: {source: {receiver: rule}}.

    rules: {receiver: {source as its definition names it: rule}}, receivers expanded. arrays: the elements of each
    array, for sources that name it; an element's own name goes before its array's. Sources that are nobody's names are
    harmless.
    """
    elements = {array: tuple(names) for array, names in arrays.items()}
    found: dict[str, dict[str, Rule]] = {}
    for receiver, sources in rules.items():
        for source, rule in sorted(sources.items(), key=lambda item: item[0] not in elements):
            for name in elements.get(source, (source,)):
                found.setdefault(name, {})[receiver] = rule
    return found


def _names(value: Any) -> frozenset[str]:
    """Names to accept; none of them stands for all."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("names of messages are a string or a list of strings")
    return frozenset() if "*" in value else frozenset(value)
