"""The block of a computation in a session definition: its fields as a ComputationSpec has them.

Defaults are those of Arras: one core where there are no resources, all a machine has where there are some without
cores; 16384 MB of memory where it is silent or says 0.
"""

from __future__ import annotations

import re
from typing import Any

from arras_ray.session.computation_spec import MB, Resources
from arras_ray.session.definition_fields import Fields
from arras_ray.session.dso import PYTHON
from arras_ray.session.routing import Rule, parse_rule

DEFAULT_MEMORY_MB = 16384

_SELECTOR_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"!?(?:{_SELECTOR_VALUE}|in\({_SELECTOR_VALUE}(?:, ?{_SELECTOR_VALUE})*\))")


def read_dso(block: Fields) -> str:
    """The library's name, which every block has."""
    dso = block.value.get("dso")
    if not isinstance(dso, str) or not dso:
        block.fail("dso", "a computation needs a dso", "Name a library, or python:package.module:Class.")
    return block.text("dso")


def read_requirements(block: Fields) -> dict[str, Any]:
    """Where it may run and with what: fields of a ComputationSpec."""
    requirements = block.object("requirements")
    local_only, no_local = requirements.flag("local_only"), requirements.flag("no_local")
    if local_only and no_local:
        requirements.fail("no_local", "local_only and no_local leave no machine", "Leave one of them away.")
    labels = requirements.object("labels")
    selectors = labels.texts()
    for name, selector in selectors.items():
        if not _SELECTOR.fullmatch(selector):
            labels.fail(
                name, f"{selector!r} selects no labels", 'Write "value", "!value", "in(one,other)" or "!in(one,other)".'
            )
    return {
        "resources": _resources(requirements),
        "gpus": _gpus(requirements.object("resources")),
        "hostname_pin": requirements.text("hostname_pin"),
        "local_only": local_only,
        "no_local": no_local,
        "labels": selectors,
    }


def read_environment(block: Fields, contexts: Fields) -> dict[str, str]:
    """Its own variables over those of the context it names, if that is defined."""
    context = block.object("requirements").text("context")
    found: dict[str, str] = {}
    for environment in (contexts.object(context).object("environment"), block.object("environment")):
        for name in environment.value:
            if not name or "=" in name or "\0" in name:
                environment.fail(name, f"{name!r} is no name for an environment variable")
        found |= environment.texts()
    return found


def read_rules(block: Fields) -> dict[str, Rule]:
    """What it accepts, by source; nothing where it says nothing."""
    messages = block.object("messages")
    rules = {}
    for source, value in messages.value.items():
        try:
            rules[source] = parse_rule(value)
        except ValueError as error:
            messages.fail(source, str(error), 'Write "*", "Name", ["A", "B"], {"accept": ...} or {"ignore": ...}.')
    return rules


def read_unsupported(block: Fields, dso: str) -> str:
    """A sentence if Arras would start another kind of program than we have for a library, which computationAPI says."""
    api = block.object("requirements").value.get("computationAPI")
    if dso.startswith(PYTHON) or (api is not None and re.fullmatch(r"4(\.\w+)*", str(api))):
        return ""
    if api is None:
        return f"{dso} is a library of computationAPI 3, as it names none, and only 4.x is supported"
    return f"{dso} is a library of computationAPI {api}, and only 4.x is supported"


def _gpus(resources: Fields) -> int:
    number = resources.number("gpus", 0)
    if number != int(number):
        resources.fail("gpus", f"a computation cannot have {number:g} GPUs", "Give a whole number.")
    return int(number)


def _resources(requirements: Fields) -> Resources:
    if "resources" not in requirements:
        return Resources(1, 1, DEFAULT_MEMORY_MB * MB)
    asked = requirements.object("resources")
    memory = int(asked.number("memoryMB", 0) * MB) or DEFAULT_MEMORY_MB * MB
    if "cores" in asked:
        cores = asked.number("cores", 0)
        return Resources(cores, cores, memory)
    least = asked.number("minCores", 1)
    if asked.value.get("maxCores", "*") == "*":
        return Resources(least, None, memory)
    most = asked.number("maxCores", least)
    if most < least:
        asked.fail("maxCores", f"maxCores {most:g} is below minCores {least:g}")
    return Resources(least, most, memory)
