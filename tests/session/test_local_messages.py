"""Messages of local sessions: what comes is what was sent, to whom, in order; and what cannot be read."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from small_computations import Array, Corrupt, Strict, Tolerant, Unsendable
from stage import MEGABYTE, PATIENCE, Stage, spec

from arras_ray.errors import ComputationError, MessageError, MessageTimeout
from arras_ray.session.local_session import LocalSession
from arras_ray.session.message import CLIENT, GenericMessage, JSONMessage, UnknownContent
from arras_ray.session.routing import Rule

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

MANY = 1000


def texts(session: LocalSession, count: int) -> list[str]:
    """The texts of the next messages."""
    messages = session.messages(PATIENCE)
    return [next(messages).content.value for _ in range(count)]


def test_a_reply_has_the_source_id_of_what_it_answers(stage: Stage) -> None:
    session = stage(spec("echo", "Echo")).wait_ready(PATIENCE)
    instance = session.send(JSONMessage("pick", {"pixel": [1, 2]}), source_id="mine")
    (reply,) = (next(session.messages(PATIENCE)),)
    assert reply.content == JSONMessage("pick", {"pixel": [1, 2]})
    assert (reply.source_id, reply.sender, reply.name, reply.version) == ("mine", "echo", "JSONMessage", 1)
    assert reply.instance_id != instance
    assert reply.size > 0


def test_messages_sent_before_the_session_is_ready_arrive(stage: Stage) -> None:
    session = stage(spec("echo", "Echo"))
    assert session.call(GenericMessage("early"), timeout=PATIENCE).content.value == "early"


def test_order_is_kept_both_ways(stage: Stage) -> None:
    session = stage(spec("echo", "Echo")).wait_ready(PATIENCE)
    for number in range(MANY):
        session.send(GenericMessage(str(number)))
    assert texts(session, MANY) == [str(number) for number in range(MANY)]


@pytest.mark.parametrize("shape", [(0,), (1,), (17, 3), (MEGABYTE // 4 + 1,), (1024, 1024, 3)])
def test_arrays_arrive_as_they_are_and_can_only_be_read(stage: Stage, shape: tuple[int, ...]) -> None:
    session = stage(spec("echo", "Echo"))
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    reply = session.call(Array("beauty", pixels), timeout=PATIENCE)
    assert reply.content.name == "beauty"
    np.testing.assert_array_equal(reply.content.pixels, pixels)
    assert reply.content.pixels.dtype == pixels.dtype
    assert not reply.content.pixels.flags.writeable
    assert reply.size >= pixels.nbytes


def test_several_arrays_of_any_size_and_order_share_a_message(stage: Stage) -> None:
    session = stage(spec("echo", "Echo"))
    sent = {
        "small": np.arange(7, dtype=np.uint8),
        "large": np.asfortranarray(np.arange(2 * MEGABYTE, dtype=np.int16).reshape(1024, -1)),
        "strided": np.arange(100.0)[::3],
    }
    came = session.call(JSONMessage("arrays", sent), timeout=PATIENCE).content.arguments
    assert came.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(came[name], array)


def test_a_long_text_arrives(stage: Stage) -> None:
    session = stage(spec("echo", "Echo"))
    text = "moonray" * MEGABYTE
    assert session.call(GenericMessage(text), timeout=PATIENCE).content.value == text


def test_one_large_message_reaches_several_receivers_and_is_written_once(stage: Stage) -> None:
    script = "self.send((float(message.content.pixels.sum()), mapped_files()), reply_to=message)"
    session = stage(spec("one", message=script), spec("other", message=script))
    session.send(Array("both", np.arange(MEGABYTE, dtype=np.float64)))
    messages = session.messages(PATIENCE)
    (one, files), (other, others) = next(messages).content, next(messages).content
    assert one == other == MEGABYTE * (MEGABYTE - 1) / 2
    assert files == others
    assert len(files) == 1


def test_routes_go_by_routing_name(stage: Stage) -> None:
    session = stage(
        spec("picky", "Echo", accepts={CLIENT: Rule(accept=frozenset({"Wanted"}))}),
        spec("other", "Echo", accepts={CLIENT: Rule(ignore=frozenset({"Wanted"}))}),
    )
    session.send(GenericMessage("to picky"), routing_name="Wanted")
    session.send(GenericMessage("to other"))
    messages = session.messages(PATIENCE)
    came = [next(messages), next(messages)]
    assert {(one.sender, one.content.value) for one in came} == {("picky", "to picky"), ("other", "to other")}


def test_computations_reach_each_other_along_their_routes(stage: Stage) -> None:
    forward = "self.send(GenericMessage(message.content.value + self.name), source_id=message.source_id)"
    imports = "global GenericMessage; from arras_ray.session.message import GenericMessage; "
    session = stage(
        spec("a", message=imports + forward),
        spec("b", accepts=["a"], message=imports + forward),
        spec("c", accepts=["b"], message=imports + forward),
        client={"c": Rule()},
    )
    assert session.call(GenericMessage("via "), timeout=PATIENCE).content.value == "via abc"


def test_a_message_goes_to_whom_it_is_sent_whatever_the_routes(stage: Stage) -> None:
    session = stage(spec("a", "Echo", accepts=()), spec("b", "Echo"), client={})
    session.send(GenericMessage("to a"), to=["a"])
    assert next(session.messages(PATIENCE)).sender == "a"
    with pytest.raises(MessageError, match="there is no nobody"):
        session.send(GenericMessage("?"), to=["nobody"])


def test_what_nobody_takes_from_a_call_is_kept_for_others(stage: Stage) -> None:
    session = stage(spec("one", "Echo"), spec("other", "Echo"))
    session.send(GenericMessage("before"), to=["one"])
    first = session.call(GenericMessage("both"), timeout=PATIENCE)
    rest = texts(session, 2)
    assert first.content.value == "both"
    assert sorted(rest) == ["before", "both"]


def test_content_of_an_unknown_class_is_warned_about_and_the_session_lives(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    module.Secret = type("Secret", (), {"__module__": "only_here"})  # type: ignore[attr-defined]
    lines: list[str] = []
    session = stage(spec("script", message="self.send(message.content, reply_to=message)"))
    session.listen(log=lambda line: lines.append(line.text) if line.level <= 2 else None)
    reply = session.call(module.Secret(), timeout=PATIENCE)
    assert isinstance(reply.content, UnknownContent)
    assert (reply.content.name, reply.content.kind) == ("Secret", "only_here:Secret")
    assert session.call(GenericMessage("alive"), timeout=PATIENCE).content.value == "alive"
    session.shutdown()
    assert [line for line in lines if "cannot read a Secret from (client)" in line]


def test_a_message_that_a_computation_does_not_know_is_warned_about(stage: Stage) -> None:
    lines: list[tuple[int, str]] = []
    session = stage(spec("script", message="self.send(message.content, reply_to=message); result = Result.UNKNOWN"))
    session.listen(log=lambda line: lines.append((line.level, line.text)))
    for text in ("what", "and then"):
        session.call(GenericMessage(text), timeout=PATIENCE)
    session.shutdown()
    assert lines[0] == (2, "does not know what to do with a GenericMessage from (client)")


def test_another_version_is_read_by_a_class_that_can(stage: Stage) -> None:
    session = stage(spec("echo", "Echo", environment={"NOTE_VERSION": "3"}))
    reply = session.call(Tolerant("note"), timeout=PATIENCE)
    assert reply.content.text == "note of version 1 of version 3"
    assert reply.version == 3


@pytest.mark.parametrize(
    ("content", "environment", "reason"),
    [
        (Strict("note"), {"NOTE_VERSION": "3"}, "a Strict from (client) has version 1; 3 is known here"),
        (Corrupt("note"), {"CORRUPT": "1"}, "a Corrupt from (client) cannot be read: ValueError: the bytes make no"),
    ],
)
def test_what_cannot_be_read_ends_the_session_with_the_reason(
    stage: Stage, content: object, environment: dict[str, str], reason: str
) -> None:
    session = stage(spec("echo", "Echo", environment=environment)).wait_ready(PATIENCE)
    session.send(content)
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "compExited: echo exited due to a computation or message problem"
    assert reason in stopped.detail
    with pytest.raises(ComputationError, match="computation or message problem"):
        session.call(GenericMessage("?"))


def test_what_the_client_cannot_read_is_an_error_there_and_the_session_lives(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stage(spec("echo", "Echo"))
    monkeypatch.setenv("CORRUPT", "1")
    session.send(Corrupt("note"))
    session.send(GenericMessage("fine"))
    with pytest.raises(MessageError, match="a Corrupt from echo cannot be read: ValueError"):
        next(session.messages(PATIENCE))
    assert texts(session, 1) == ["fine"]


def test_what_cannot_be_sent_is_an_error_where_it_is_sent(stage: Stage) -> None:
    session = stage(spec("echo", "Echo"))
    with pytest.raises(MessageError, match="a Unsendable cannot be sent: ValueError: asked not to"):
        session.send(Unsendable())
    with pytest.raises(MessageError, match="a function cannot be sent"):
        session.send(lambda: None)
    assert session.call(GenericMessage("fine"), timeout=PATIENCE).content.value == "fine"


def test_a_call_without_an_answer_times_out(stage: Stage) -> None:
    session = stage(spec("silent")).wait_ready(PATIENCE)
    with pytest.raises(MessageTimeout, match=r"no reply within 0\.01 s from session test"):
        session.call(GenericMessage("?"), timeout=0.01)
    with pytest.raises(MessageTimeout, match=r"no message within 0\.01 s"):
        next(session.messages(0.01))
