"""Tallies: who rendered how many of the accepted samples, and which samples were bad, by merge shard."""

from __future__ import annotations

from dataclasses import dataclass, field

from arras_ray.messages import BadSample, Tally


@dataclass
class _Count:
    samples: dict[str, int] = field(default_factory=dict)
    bad_samples: int = 0
    first_bad: BadSample | None = None


class Tallies:
    """A tally for each shard, so that the one of a merge that was replaced can be put right by itself."""

    def __init__(self) -> None:
        self._counts: dict[int, _Count] = {}

    @property
    def bad_samples(self) -> int:
        """Bad samples of all shards."""
        return sum(count.bad_samples for count in self._counts.values())

    @property
    def first_bad(self) -> BadSample | None:
        """The lowest bad sample of all shards, not the first to be heard of: the same one every time."""
        return _lowest(*(count.first_bad for count in self._counts.values()))

    def samples_of(self, mcrt: str) -> int:
        """Accepted samples an mcrt rendered, of all shards."""
        return sum(count.samples.get(mcrt, 0) for count in self._counts.values())

    def add(
        self, shard: int, mcrt: str, samples: int, bad_samples: int = 0, first_bad: BadSample | None = None
    ) -> None:
        """An mcrt's samples were accepted by a shard, and some of them were bad."""
        count = self._counts.setdefault(shard, _Count())
        count.samples[mcrt] = count.samples.get(mcrt, 0) + samples
        count.bad_samples += bad_samples
        count.first_bad = _lowest(count.first_bad, first_bad)

    def put(self, shard: int, tally: Tally) -> None:
        """What a shard itself says; it replaces all that was added for it."""
        self._counts[shard] = _Count(dict(tally.samples), tally.bad_samples, tally.first_bad)

    def of(self, shard: int) -> Tally:
        """The tally of one shard as it is now."""
        count = self._counts.get(shard, _Count())
        return Tally(dict(count.samples), count.bad_samples, count.first_bad)


def _lowest(*bad: BadSample | None) -> BadSample | None:
    return min((b for b in bad if b is not None), key=lambda b: (b.sample, b.y, b.x), default=None)
