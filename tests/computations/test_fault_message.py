"""A message that goes wrong where it was asked to, hop by hop; its segfault is tested in a process of its own."""

from __future__ import annotations

import pytest

from arras_ray.computations.fault_message import FaultMessage
from arras_ray.errors import MessageError
from arras_ray.session.message import pack, unpack


def hop(content: FaultMessage) -> FaultMessage:
    """One journey from a sender to a receiver."""
    received = unpack(pack(content, "sender")).content
    assert isinstance(received, FaultMessage)
    return received


def test_it_counts_its_hops() -> None:
    assert hop(hop(FaultMessage("a"))) == FaultMessage("a", hops=2)


@pytest.mark.parametrize("step", ["serialise", "deserialise"])
@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("THROW", (RuntimeError, MessageError), "asked to throw in {step} of hop 2"),
        ("CORRUPT", MessageError, "damaged"),
    ],
)
def test_the_fault_happens_at_its_hop(
    fault: str, error: type[Exception] | tuple[type[Exception], ...], text: str, step: str
) -> None:
    message = hop(FaultMessage("a", fault, step, hop=2))
    with pytest.raises(error, match=text.format(step=step)):
        hop(message)


def test_a_fault_of_a_hop_that_never_comes_does_no_harm() -> None:
    assert hop(FaultMessage("a", "THROW", hop=3)).value == "a"


@pytest.mark.parametrize("message", [FaultMessage("a", "EXPLODE"), FaultMessage("a", "THROW", "think")])
def test_unknown_faults_and_steps_are_refused(message: FaultMessage) -> None:
    with pytest.raises(
        (ValueError, MessageError), match="THROW, SEGFAULT, CORRUPT in a step of serialise, deserialise"
    ):
        pack(message, "sender")
