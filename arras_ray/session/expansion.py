"""Expansion: the blocks of a session definition become computations, with arrays made and variables filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from arras_ray.errors import DefinitionError
from arras_ray.session.block import read_dso, read_environment, read_requirements, read_rules, read_unsupported
from arras_ray.session.computation_spec import ComputationSpec
from arras_ray.session.definition_fields import Fields, shown
from arras_ray.session.definition_text import Source
from arras_ray.session.dso import is_given, resolve
from arras_ray.session.message import CLIENT

MAX_COMPUTATIONS = 10_000
MAX_VALUES = 2_000_000
"""Values in the blocks of all computations together."""

MAX_CONNECTIONS = 1_000_000
"""Pairs of a sender and a receiver: arrays that talk to each other make many."""

MAX_BLOCK_DEPTH = 200
"""Levels within a block, which has to travel to its process."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class Expansion:
    """The computations of a document.

    num_mcrt overrides the length of its mcrt array; dso: a user's own names of libraries. Raise DefinitionError, with
    the place in the file, for what cannot be meant. lengths: of each block's array, None for a block that is none.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        source: Source,
        num_mcrt: int | None = None,
        dso: Mapping[str, str] | None = None,
    ) -> None:
        self._source = source
        self._dso = dso
        self._resolved: dict[str, tuple[str, str]] = {}
        root = Fields(source, (), document)
        computations = root.object("computations")
        self._contexts = root.object("contexts")
        self.blocks = {name: computations.object(name) for name in computations.value if name != CLIENT}
        self._has_requirements = any("requirements" in block for block in self.blocks.values())
        self.lengths = {base: self._length(base) for base in self.blocks}
        self._overridden = self._override(num_mcrt)
        self._measure()

    def computations(self) -> tuple[ComputationSpec, ...]:
        """All of them, in the order of the file."""
        found = [computation for base in self.blocks for computation in self.elements(base)]
        seen: set[str] = set()
        for one in found:
            if one.name in seen:
                path = ("computations", one.name)
                raise self._source.error(path, f"two computations are named {one.name}", "Rename a block.")
            seen.add(one.name)
        if not found:
            raise self._source.error(("computations",), "there are no computations")
        connections = sum((self.lengths.get(source) or 1) for one in found for source in one.rules)
        if connections > MAX_CONNECTIONS:
            message = f"{connections} connections are more than a session may have"
            raise self._source.error(("computations",), message, f"Stay below {MAX_CONNECTIONS}: accept from fewer.")
        entry = max((i for i, one in enumerate(found) if one.entry), default=0)
        return tuple(replace(one, entry=i == entry) if one.entry or i == entry else one for i, one in enumerate(found))

    def elements(self, base: str) -> list[ComputationSpec]:
        """The computations of one block. entry: whether it says so."""
        self._check_limits(base)
        block, length = self.blocks[base], self.lengths[base]
        least = self._whole(block, "arrayMin") if length is not None and "arrayMin" in block else 0
        if not self._has_variables[base]:
            spec = replace(self._spec(base, block), array_min=least)
            if length is None:
                return [spec]
            return [replace(spec, name=f"{base}_i{i}", array=base, index=i) for i in range(length)]
        if length is None:
            return [self._spec(base, self._filled(block, None))]
        return [
            replace(self._spec(base, self._filled(block, i)), name=f"{base}_i{i}", array=base, index=i, array_min=least)
            for i in range(length)
        ]

    def kind(self, base: str) -> str:
        """What kind the computations of a block are."""
        return self._resolve(read_dso(self.blocks[base]))[0]

    def most(self, base: str) -> int | None:
        """A block's arrayMax, None where it says nothing."""
        block = self.blocks[base]
        if "arrayMax" not in block:
            return None
        most = self._whole(block, "arrayMax")
        if most > MAX_COMPUTATIONS:
            block.fail("arrayMax", f"an array cannot have up to {most} elements", f"Stay below {MAX_COMPUTATIONS}.")
        return most

    def _spec(self, base: str, block: Fields) -> ComputationSpec:
        dso = read_dso(block)
        kind, target = self._resolve(dso)
        ours = kind != "python" or is_given(dso, self._dso) or not self._has_requirements
        return ComputationSpec(
            name=base,
            kind=kind,
            block=block.value,
            dso=dso,
            target=target,
            unsupported="" if ours else read_unsupported(block, dso),
            entry=block.flag("entry"),
            rules=read_rules(block),
            environment=read_environment(block, self._contexts),
            working_directory=block.text("workingDirectory"),
            **read_requirements(block),
        )

    def _resolve(self, dso: str) -> tuple[str, str]:
        if dso not in self._resolved:  # looking through installed packages takes time
            self._resolved[dso] = resolve(dso, self._dso)
        return self._resolved[dso]

    def _length(self, base: str) -> int | None:
        block = self.blocks[base]
        if not _NAME.fullmatch(base):
            raise self._source.error(
                block.path,
                f"{shown(base)} is no name for a computation",
                "Use up to 200 letters, digits, '_', '-' and '.'.",
            )
        if "arrayExpand" not in block:
            return None
        return self._whole(block, "arrayExpand")

    def _check_limits(self, base: str) -> None:
        """Refuse an array that is smaller or larger than it says it may be."""
        block, length, most = self.blocks[base], self.lengths[base], self.most(base)
        if length is None or base == self._overridden:
            return
        if "arrayMin" in block and self._whole(block, "arrayMin") > length:
            block.fail("arrayMin", f"arrayMin {block.value['arrayMin']:g} is above arrayExpand {length}")
        if most is not None and most < length:
            block.fail("arrayMax", f"arrayMax {most} is below arrayExpand {length}")

    def _override(self, num_mcrt: int | None) -> str | None:
        """Set the length of the mcrt array, whose block is returned.

        A session's only mcrt becomes an array where several are wanted, as arras_render makes it.
        """
        if num_mcrt is None:
            return None
        if num_mcrt < 1:
            raise DefinitionError(f"a session cannot have {num_mcrt} mcrts", hint="Ask for at least one.")
        mcrts = [base for base in self.blocks if self.kind(base) == "mcrt"]
        arrays = [base for base in mcrts if self.lengths[base] is not None]
        if len(arrays) > 1:
            message = f"--num-mcrt could mean any of {', '.join(arrays)}"
            raise self._source.error(("computations", arrays[1]), message, "Set arrayExpand there.")
        if not arrays and num_mcrt == 1:
            return None
        if not arrays and len(mcrts) != 1:
            has = f"{len(mcrts)} mcrts, none of which is an array" if mcrts else "no mcrt"
            hint = 'Use a session with an array, such as mcrt_progressive_n, or add "arrayExpand".'
            raise self._source.error(("computations",), f"--num-mcrt {num_mcrt}: the session has {has}", hint)
        base = (arrays or mcrts)[0]
        self.lengths[base] = num_mcrt
        return base

    def _measure(self) -> None:
        """Refuse what would fill the memory, and find the blocks that have variables."""
        self._has_variables: dict[str, bool] = {}
        total = sum(1 if length is None else length for length in self.lengths.values())
        values = 0
        for base, block in self.blocks.items():
            size, depth, self._has_variables[base] = _measured(block.value)
            values += size * (self.lengths[base] or 1)
            if depth > MAX_BLOCK_DEPTH:
                message = f"the block of a computation may be nested {MAX_BLOCK_DEPTH} levels, not {depth}"
                raise self._source.error(block.path, message)
        if total > MAX_COMPUTATIONS or values > MAX_VALUES:
            longest = max(self.lengths, key=lambda base: self.lengths[base] or 0)
            raise self._source.error(
                ("computations", longest, "arrayExpand"),
                f"{total} computations are more than a session of this size may have",
                f"Stay below {MAX_COMPUTATIONS} in all.",
            )

    def _whole(self, block: Fields, name: str) -> int:
        """A number of elements."""
        number = block.number(name, 1)
        if number != int(number) or number < 1:
            block.fail(name, f"an array cannot have {number} elements", "Give a whole number, at least 1.")
        return int(number)

    def _filled(self, block: Fields, index: int | None) -> Fields:
        """The block with its variables filled in; what has none is shared with it."""
        filled = {name: self._fill(value, (*block.path, name), index) for name, value in block.value.items()}
        return Fields(self._source, block.path, filled)

    def _fill(self, value: Any, path: tuple[str | int, ...], index: int | None) -> Any:
        """Fill variables in, at any depth, where a string is a variable and nothing else."""
        if isinstance(value, dict):
            fields = {name: self._fill(item, (*path, name), index) for name, item in value.items()}
            return fields if any(fields[name] is not item for name, item in value.items()) else value
        if isinstance(value, list):
            items = [self._fill(item, (*path, i), index) for i, item in enumerate(value)]
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        if value == "$arrayIndex":
            return index
        if isinstance(value, str) and (value == "$arrayNumber" or value.startswith("$arrayNumber.")):
            array = value.removeprefix("$arrayNumber").removeprefix(".") or str(path[1])
            length = self.lengths.get(array)
            if length is None:
                raise self._source.error(
                    path, f"{value!r} counts an array, and {array!r} is none", 'An array has "arrayExpand".'
                )
            return length
        return value


def _measured(block: Mapping[str, Any]) -> tuple[int, int, bool]:
    """How many values a block has, on how many levels, and whether one may be a variable."""
    values, depth, has_variables = 0, 0, False
    work: list[tuple[Any, int]] = [(block, 1)]
    while work:
        value, level = work.pop()
        values += 1
        depth = max(depth, level)
        if isinstance(value, dict | list):
            work += [(item, level + 1) for item in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, str) and value.startswith("$array"):
            has_variables = True
    return values, depth, has_variables
