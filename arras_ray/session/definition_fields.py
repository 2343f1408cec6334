"""Reading the fields of an object in a session definition. What is wrong with one is told with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from arras_ray.session.definition_text import Path, Source

MOST = 1e12


class Fields:
    """An object of a definition. path: where it is from the root on. All methods raise DefinitionError.

    Names that are asked for one after the other lead into objects within; one that is not there is empty.
    """

    def __init__(self, source: Source, path: Path, value: Mapping[str, Any]) -> None:
        self.source = source
        self.path = tuple(path)
        self.value = value

    def __contains__(self, name: str) -> bool:
        return name in self.value

    def fail(self, name: str, message: str, hint: str = "") -> NoReturn:
        """Raise for the field of this name; the object itself where it has no such field."""
        raise self.source.error((*self.path, name), message, hint)

    def object(self, name: str) -> Fields:
        """The object in this field; an empty one where there is none."""
        value = self.value.get(name, {})
        if not isinstance(value, dict):
            self.fail(name, f"{name} must be an object in braces, not {shown(value)}")
        return Fields(self.source, (*self.path, name), value)

    def number(self, name: str, default: float) -> float:
        """A number from 0 to 10^12."""
        value = self.value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(name, f"{name} must be a number, not {shown(value)}")
        if not 0 <= value <= MOST:
            self.fail(name, f"{name} cannot be {shown(value)}", "Give a number from 0 to 10^12.")
        return value

    def text(self, name: str, default: str = "") -> str:
        """A string that may be handed to the system."""
        value = self.value.get(name, default)
        if not isinstance(value, str):
            self.fail(name, f"{name} must be a string, not {shown(value)}")
        if "\0" in value:
            self.fail(name, f"{name} has a character in it that the system cannot take")
        return value

    def flag(self, name: str) -> bool:
        """Whether it is true or "yes"; everything else, "true" and "false" as well, says nothing, as in Arras."""
        return self.value.get(name) is True or self.value.get(name) == "yes"

    def texts(self) -> dict[str, str]:
        """All fields, as strings. Integers are taken too, which variables become; null, as one may be, is left out."""
        found = {}
        for name, value in self.value.items():
            if isinstance(value, int) and not isinstance(value, bool):
                found[name] = str(value)
            elif value is not None:
                found[name] = self.text(name)
        return found


def shown(value: Any) -> str:
    """A value as an error tells it, short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
