"""A message that goes wrong on its way, where its sender has asked for it."""

from __future__ import annotations

import json
import signal
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

FAULTS = ("THROW", "SEGFAULT", "CORRUPT")
STEPS = ("serialise", "deserialise")


@dataclass(frozen=True)
class FaultMessage:
    """Text, and what becomes of it: `fault` happens in `step` of the n-th hop, n being `hop`, from 1.

    fault: "", THROW, SEGFAULT, or CORRUPT, which damages what travels so that its receiver notices. step: serialise or
    deserialise. hops: how many it has behind it; a computation that forwards or replies with it adds one.
    """

    value: str
    fault: str = ""
    step: str = "deserialise"
    hop: int = 1
    hops: int = 0

    def serialise(self) -> tuple[bytes, int]:
        """JSON and its CRC-32. Raise ValueError for a fault or a step that is unknown."""
        if (self.fault and self.fault not in FAULTS) or self.step not in STEPS:
            raise ValueError(f"a FaultMessage has a fault of {', '.join(FAULTS)} in a step of {', '.join(STEPS)}")
        sent = replace(self, hops=self.hops + 1)
        data = json.dumps(asdict(sent)).encode()
        return data[:-1] if sent._happens("serialise") else data, zlib.crc32(data)

    @classmethod
    def deserialise(cls, data: Any, version: int) -> Self:
        """Raise ValueError where it was damaged."""
        text, check = data
        message = cls(**json.loads(text)) if zlib.crc32(text) == check else None
        if message is None or message._happens("deserialise"):
            raise ValueError("a FaultMessage was damaged on its way")
        return message

    def _happens(self, step: str) -> bool:
        """Let the fault happen if its time has come; True for a damage, which is left to the caller."""
        if not self.fault or (self.step, self.hop) != (step, self.hops):
            return False
        if self.fault == "THROW":
            raise RuntimeError(f"asked to throw in {step} of hop {self.hop}")
        if self.fault == "SEGFAULT":
            signal.raise_signal(signal.SIGSEGV)
        return True
