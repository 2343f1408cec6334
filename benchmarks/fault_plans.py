"""Which computations are killed when: drawn from a seed, so that a render can be replayed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from arras_ray.session.definition import SessionDefinition, parse_definition

KINDS = ("mcrt", "merge", "dispatch", "supervisor", "node")
KILLS = 3
"""Of each render."""

FIRST, LAST = 0.1, 0.9
"""Between these shares of a render's samples. The last kill is planned a little earlier: a victim has to be found."""

SOON = 2.5
"""Seconds within which a computation that was killed is usually back: a kill in them comes during a restart."""

SAVE_SECONDS = (0.1, 1.0, 5.0)
"""Between two saves of the films."""

LAYOUTS = ("together", "apart", "two merges")
"""dispatch and merge on one node, or on two; two merges on one node."""

MOST_DELAY = 3.0
"""Seconds after which the latest replacement of a lost node comes."""


@dataclass(frozen=True)
class Kill:
    """What to kill, and when: as soon as a share of the samples is accepted, or `after` seconds after the kill before.

    saving: while a save of the films is under way.
    """

    kind: str
    share: float
    after: float | None
    saving: bool

    def __str__(self) -> str:
        when = f"at {self.share:.0%}" if self.after is None else f"{self.after:.2f} s later"
        return f"{self.kind} {when}{' in a save' if self.saving else ''}"


@dataclass(frozen=True)
class Plan:
    """What befalls one render. delays: seconds until a node comes in the place of one that is lost, by kill."""

    number: int
    layout: str
    save_seconds: float
    kills: tuple[Kill, ...]
    delays: tuple[float, ...]

    @property
    def definition(self) -> SessionDefinition:
        """The session."""
        return definition(self.layout)


def definition(layout: str, mcrts: int = 3) -> SessionDefinition:
    """A session for nodes with 1,000 MB, so that two computations that ask for 600 live apart."""
    merges = 2 if layout == "two merges" else 1
    memory = 600 if layout == "apart" else 200

    def entry(name: str, dso: str, cores: int, memory: int, n: int = 0) -> str:
        expand = f'"arrayExpand": {n}, ' if n > 1 else ""
        resources = f'"requirements": {{"resources": {{"cores": {cores}, "memoryMB": {memory}}}}}'
        return f'"{name}": {{"dso": "libcomputation_{dso}.so", {expand}{resources}}}'

    entries = (
        entry("dispatch", "progmcrt_dispatch", 0, memory),
        entry("mcrt", "progmcrt", 1, 300, mcrts),
        entry("merge", "progmcrt_merge", 0, memory, merges),
    )
    return parse_definition('{"computations": {' + ", ".join(entries) + "}}", layout.replace(" ", "_"))


def plans(renders: int, seed: int) -> list[Plan]:
    """A plan for each of so many renders, with each kind of kill as often as any other."""
    draw = random.Random(seed)
    kinds = [KINDS[i % len(KINDS)] for i in range(renders * KILLS)]
    draw.shuffle(kinds)
    made = []
    for number in range(renders):
        own = random.Random(f"{seed} {number}")
        made.append(
            Plan(
                number,
                own.choice(LAYOUTS),
                own.choice(SAVE_SECONDS),
                tuple(_kills(kinds[number * KILLS : (number + 1) * KILLS], own)),
                tuple(own.uniform(0.0, MOST_DELAY) for _ in range(KILLS)),
            )
        )
    return made


def _kills(kinds: list[str], draw: random.Random) -> Iterator[Kill]:
    shares = sorted(draw.uniform(FIRST, LAST - 0.05) for _ in kinds)
    for i, kind in enumerate(kinds):
        soon = i > 0 and shares[i - 1] < 0.6 and draw.random() < 0.4
        yield Kill(kind, shares[i], draw.uniform(0.0, SOON) if soon else None, draw.random() < 0.3)
