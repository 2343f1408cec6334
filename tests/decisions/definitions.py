"""Definitions for tests, made of blocks."""

from __future__ import annotations

import json
from typing import Any

from arras_ray.session.definition import ComputationSpec, SessionDefinition, parse_definition

MCRT = {"dso": "libcomputation_progmcrt.so"}
MERGE = {"dso": "libcomputation_progmcrt_merge.so"}
DISPATCH = {"dso": "libcomputation_progmcrt_dispatch.so"}


def definition(**blocks: Any) -> SessionDefinition:
    """The definition with these blocks, one value a line."""
    return parse_definition(json.dumps({"computations": blocks}, indent=1), "test")


def expand_one(**block: Any) -> ComputationSpec:
    """The only computation of a definition whose only block, `mcrt`, says this."""
    (computation,) = definition(mcrt=MCRT | block).expand()
    return computation
