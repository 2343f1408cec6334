"""Messages of sessions on a real Ray: what comes is what was sent, to whom, in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from session_parts import Gate, Letter, Note, Picture, Pixels
from session_stage import Stage, spec, take
from waiting import PATIENCE, until

from arras_ray.actors.line import INLINE_BYTES
from arras_ray.errors import ClusterError, ComputationError, MessageError, MessageTimeout
from arras_ray.session.computation_spec import MB
from arras_ray.session.message import CLIENT, CreditUpdate, GenericMessage, JSONMessage, UnknownContent
from arras_ray.session.routing import EVERYTHING, Rule

pytestmark = pytest.mark.usefixtures("parts")

ECHO = "self.reply(message.content, message)"
FORWARD = "self.send(message.content, source_id=message.source_id)"


def numbers(count: int) -> Iterator[Pixels]:
    """Messages with arrays, every tenth of which is too large to travel with its call."""
    for number in range(count):
        yield Pixels(number, np.full(2 * INLINE_BYTES if number % 10 == 0 else 16, number % 251, np.uint8))


def test_a_thousand_messages_keep_their_order_there_and_back_and_through_a_chain(start: Stage) -> None:
    """Large and small ones take different ways, and calls another one."""
    session = start(
        spec("a", message=FORWARD),
        spec("b", accepts=["a"], message=FORWARD),
        spec("echo", accepts=(), message=ECHO),
        client={"b": EVERYTHING, "echo": EVERYTHING},
    ).wait_ready(PATIENCE)
    sent = list(numbers(1000))
    for pixels in sent:
        session.send(pixels)
        if pixels.number % 2:
            session.send(pixels, to=["echo"])
        elif pixels.number % 100 == 0:
            assert session.call(pixels, to=["echo"], timeout=PATIENCE).content.number == pixels.number
    came: dict[str, list[Pixels]] = {"b": [], "echo": []}
    for message in session.messages(PATIENCE):
        came[message.sender].append(message.content)
        if sum(map(len, came.values())) == 1500:
            break
    assert [one.number for one in came["b"]] == list(range(1000))
    assert [one.number for one in came["echo"]] == list(range(1, 1000, 2))
    for one in (*came["b"], *came["echo"]):
        np.testing.assert_array_equal(one.values, sent[one.number].values)
    counts = {row.name: (row.received, row.sent, row.waiting) for row in session.status().computations}
    assert counts == {"a": (1000, 1000, 0), "b": (1000, 1000, 0), "echo": (510, 510, 0)}


def test_threads_that_send_and_call_at_once_are_not_mixed_up(start: Stage) -> None:
    session = start(spec("a", message=ECHO), spec("b", message=ECHO)).wait_ready(PATIENCE)

    def send(first: int) -> None:
        for number in range(first, first + 40):
            session.send(Pixels(number, np.full(2 * INLINE_BYTES, number, np.uint8)), to=["a"])

    def call(thread: int) -> bool:
        large = np.arange(INLINE_BYTES if thread % 2 else 10)
        replies = [session.call(Pixels(1000 * thread + i, large), timeout=PATIENCE).content for i in range(20)]
        return [one.number for one in replies] == [1000 * thread + i for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, (0, 40, 80, 120)))
        came = take(session, 160)
        assert all(pool.map(call, range(8)))
    assert [int(one.values[0]) for one in came] == [one.number for one in came]
    for first in (0, 40, 80, 120):
        of_thread = [one.number for one in came if first <= one.number < first + 40]
        assert of_thread == list(range(first, first + 40))
    assert len(take(session, 160)) == 160  # each call had two replies


def test_messages_go_where_routes_names_and_senders_say(start: Stage) -> None:
    session = start(
        spec("one", message=ECHO),
        spec("other", accepts={CLIENT: Rule(ignore=frozenset({"Wanted"}))}, message=ECHO),
        spec("picky", accepts={CLIENT: Rule(accept=frozenset({"Wanted"}))}, message=ECHO),
        spec("deaf", accepts=(), message=ECHO),
    ).wait_ready(PATIENCE)
    session.send(GenericMessage("all"), source_id="1")
    session.send(GenericMessage("wanted"), source_id="2", routing_name="Wanted")
    instance = session.send(JSONMessage("pick", {"pixel": [1, 2]}), source_id="3", to=["deaf", "picky"])
    messages = session.messages(PATIENCE)
    came = [next(messages) for _ in range(6)]
    assert {(m.source_id, m.sender) for m in came} == {
        ("1", "one"), ("1", "other"), ("2", "one"), ("2", "picky"), ("3", "deaf"), ("3", "picky")
    }  # fmt: skip
    last = next(m for m in came if m.sender == "deaf")
    assert (last.content, last.name, last.version) == (JSONMessage("pick", {"pixel": [1, 2]}), "JSONMessage", 1)
    assert last.instance_id != instance
    assert last.size > 0
    with pytest.raises(MessageError, match="there is no nobody"):
        session.send(GenericMessage("?"), to=["nobody"])


@pytest.mark.slow
def test_a_large_array_is_shared_by_its_receivers_and_can_only_be_read(start: Stage) -> None:
    where = "self.reply(JSONMessage('where', {'is': mapping_of(message.content.values)}), message); "
    where += "self.reply(message.content, message)"
    session = start(spec("one", message=where), spec("other", message=where)).wait_ready(PATIENCE)
    values = np.arange(8 * MB, dtype=np.float64)
    session.send(Pixels(1, values))
    came = take(session, 4)
    places = {one.arguments["is"] for one in came if isinstance(one, JSONMessage)}
    (place,) = places
    assert place
    for one in came:
        if isinstance(one, Pixels):
            np.testing.assert_array_equal(one.values, values)
            assert not one.values.flags.writeable
            assert values.nbytes == 64 << 20


def test_what_was_sent_does_not_change_any_more(start: Stage) -> None:
    """A sender may use its arrays again at once, whether its receiver has looked or not. Of any size."""
    again = (
        "a = np.zeros(int(message.content.value), np.int16)\n"
        "self.send(Pixels(1, a))\na[:] = 1\nself.send(Pixels(2, a))\na[:] = 9"
    )
    session = start(spec("a", message=again), spec("b", accepts=["a"], message=FORWARD)).wait_ready(PATIENCE)
    for n in (0, 7, INLINE_BYTES):
        mine = np.zeros(n, np.int16)
        session.send(Pixels(0, mine), to=["b"])
        mine[:] = 9
        session.send(GenericMessage(str(n)), to=["a"])
        for one in take(session, 5):
            np.testing.assert_array_equal(one.values, np.full(n, max(0, one.number - 1), np.int16))
            assert not one.values.flags.writeable


def test_what_cannot_be_read_is_warned_about_and_other_versions_are_for_their_class(
    start: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    module.Secret = type("Secret", (), {"__module__": "only_here"})  # type: ignore[attr-defined]
    fields = {"environment": {"NOTE_VERSION": "3"}}
    session = start(spec("echo", message=f"{ECHO}; result = Result.UNKNOWN", fields=fields)).wait_ready(PATIENCE)
    secret = session.call(module.Secret(), timeout=PATIENCE)
    assert isinstance(secret.content, UnknownContent)
    assert (secret.content.name, secret.content.kind) == ("Secret", "only_here:Secret")
    letter = session.call(Letter("note"), timeout=PATIENCE)
    assert (letter.content.text, letter.version) == ("note of version 1 of version 3", 3)
    until(lambda: "does not know what to do with a Letter from (client)" in start.text, "the second warning")
    warned = [line.text for line in start.lines if line.level == 2]
    assert warned[0].startswith("cannot read a Secret from (client): ModuleNotFoundError")
    session.send(Note("of a version it does not know"))
    stopped = session.wait_stopped(PATIENCE)
    assert stopped.exec_stopped_reason == "compExited echo exited due to a computation or message problem"
    assert stopped.detail == "arras_ray.errors.MessageError: a Note from (client) has version 1; 3 is known here"


def test_a_call_gets_its_reply_however_long_that_takes(start: Stage, gate: Gate) -> None:
    slow = f"'wait' in message.content.value and hold({str(gate.folder)!r})\n{ECHO}"
    session = start(spec("a", message=slow)).wait_ready(PATIENCE)
    assert session.call(GenericMessage("fast"), timeout=PATIENCE).content.value == "fast"
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(session.call, GenericMessage("wait"), timeout=PATIENCE)
        until(lambda: gate.is_reached, "the message to be handled")
        with pytest.raises(MessageTimeout):  # longer than a computation lets a call wait
            session.call(GenericMessage("late"), timeout=0.5)
        session.send(GenericMessage("sent meanwhile"))
        assert not reply.done()
        gate.open()
        assert reply.result().content.value == "wait"
    assert [one.value for one in take(session, 2)] == ["late", "sent meanwhile"]


def test_images_wait_for_credit_and_the_newest_wins(start: Stage) -> None:
    """To the client, which returns credit for what it has handled, and to a computation that does."""
    burst = "for n in range(10): self.send(Picture(n))\nself.reply(message.content, message)"
    note = "self.send(message.content, to=['(client)'], source_id='noted')"
    session = start(
        spec("source", initialCredit=2, message=burst),
        spec("sink", accepts=["source"], sendCredit=True, message=note),
        client={"source": Rule(accept=frozenset({"Picture"}))},
    )
    session.wait_ready(PATIENCE)
    assert session.call(GenericMessage("go"), to=["source"], timeout=PATIENCE).content.value == "go"
    messages = session.messages(PATIENCE)
    came: dict[str, list[int]] = {"source": [], "sink": []}
    while [numbers[-1:] for numbers in came.values()] != [[9], [9]]:
        message = next(messages)
        came[message.sender].append(message.content.number)
    assert came == {"source": [0, 1, 9], "sink": [0, 1, 9]}
    session.send(CreditUpdate(4, "Set"), to=["source"])  # the client's own word counts as well
    session.send(GenericMessage("go"), to=["source"])
    until(lambda: next(messages).content == GenericMessage("go"), "the second burst")


@pytest.mark.slow
def test_without_credit_given_back_images_stop(start: Stage) -> None:
    burst = "for n in range(5): self.send(Picture(n))\nself.reply(message.content, message)"
    session = start(
        spec("source", initialCredit=1, message=burst),
        spec("sink", accepts=["source"], message="self.send(message.content)"),
        client={"sink": EVERYTHING},
    ).wait_ready(PATIENCE)
    session.call(GenericMessage("go"), to=["source"], timeout=PATIENCE)
    session.call(GenericMessage("go"), to=["source"], timeout=PATIENCE)
    assert take(session, 1) == [Picture(0)]
    session.send(GenericMessage("what is no image passes"), to=["sink"])
    assert take(session, 1) == [GenericMessage("what is no image passes")]


def test_messages_from_before_the_session_is_ready_arrive(start: Stage, gate: Gate) -> None:
    """Those of the client, and of a computation that sends while it is configured."""
    early = f"hold({str(gate.folder)!r})\nfor n in range(3): self.send(Pixels(n, np.zeros(40000 * n)), to=['b'])"
    note = "self.seen = [*getattr(self, 'seen', []), getattr(message.content, 'number', message.sender)]"
    session = start(
        spec("a", accepts=(), initialize=early, start="self.send(Pixels(3, np.zeros(1)), to=['b'])"),
        spec("b", message=f"{note}\nif len(self.seen) == 5: self.send(JSONMessage('seen', {{'is': self.seen}}))"),
    )
    session.send(GenericMessage("early"), to=["b"])
    until(lambda: gate.is_reached, "the configuration")
    assert session.status().state == "starting"
    gate.open()
    (seen,) = take(session, 1)
    seen.arguments["is"].remove(CLIENT)
    assert seen.arguments["is"] == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_computation_has_its_environment_folder_and_limits(start: Stage, tmp_path: Path) -> None:
    about = "self.name, self.session, self.threads, os.environ.get('FLAVOUR'), os.getcwd(), config['limits']"
    tell = f"self.reply(JSONMessage('about', {{'is': ({about})}}), message)"
    fields = {"environment": {"FLAVOUR": "vanilla"}, "working_directory": str(tmp_path)}
    session = start(spec("a", message=tell, cores=2, memory=128, fields=fields), spec("b", message=tell))
    told = [session.call(GenericMessage("?"), to=[to], timeout=PATIENCE).content.arguments["is"] for to in ("a", "b")]
    assert told[0] == ("a", session.name, 2, "vanilla", str(tmp_path), {"maxThreads": 2, "maxMemoryMB": 128})
    assert told[1][:4] == ("b", session.name, 1, None)
    assert told[1][4] != str(tmp_path)


def test_a_paused_session_stands_still(start: Stage) -> None:
    session = start(spec("a", message=ECHO), name="still").wait_ready(PATIENCE)
    session.pause()
    session.send(GenericMessage("1"))
    until(lambda: session.status().computations[0].waiting > 0, "the message to arrive")
    status = session.status()
    assert status.state == "paused"
    (row,) = status.computations
    assert (row.name, row.received, row.sent, row.state) == ("a", 1, 0, "ready")
    assert row.pid > 0
    session.resume()
    assert take(session, 1) == [GenericMessage("1")]
    assert session.status().state == "ready"
    session.pause()
    assert session.shutdown().as_asked
    assert session.status().state == "stopped"
    with pytest.raises(ComputationError, match="has ended: clientShutdown"):
        session.pause()


@pytest.mark.slow
def test_listeners_hear_of_everything(start: Stage) -> None:
    heard: list[tuple[str, object]] = []
    session = start(spec("a", message=f"print('got', message.content.value); {ECHO}"))
    session.listen(
        ready=lambda it: heard.append(("ready", it.name)),
        message=lambda message: heard.append(("message", message.content.value)),
        stopped=lambda stopped: heard.append(("stopped", stopped.exec_stopped_reason)),
    )
    session.wait_ready(PATIENCE)
    for text in ("one", "two"):
        session.send(GenericMessage(text))
    until(lambda: len(heard) == 3, "both messages")
    session.shutdown()
    assert heard == [
        ("ready", session.name), ("message", "one"), ("message", "two"), ("stopped", "clientShutdown")
    ]  # fmt: skip
    assert [(line.computation, line.level, line.text) for line in start.lines] == [
        ("a", 3, "got one"), ("a", 3, "got two")
    ]  # fmt: skip


@pytest.mark.slow
def test_everything_can_be_awaited(start: Stage) -> None:
    session = start(spec("a", message=ECHO))

    async def use() -> list[str]:
        await session.ready_async(PATIENCE)
        calls = [session.call_async(GenericMessage(str(n)), timeout=PATIENCE) for n in range(5)]
        values = [reply.content.value for reply in await asyncio.gather(*calls)]
        await session.send_async(GenericMessage("sent"))
        async for message in session.messages_async(PATIENCE):
            values.append(message.content.value)
            break
        stopped = await session.shutdown_async()
        assert await session.stopped_async(PATIENCE) == stopped
        return [*values, stopped.exec_stopped_reason]

    assert asyncio.run(use()) == ["0", "1", "2", "3", "4", "sent", "clientShutdown"]


@pytest.mark.slow
def test_two_sessions_know_nothing_of_each_other(start: Stage) -> None:
    one = start(spec("a", message=ECHO), name="one").wait_ready(PATIENCE)
    with pytest.raises(ClusterError, match="a session named one runs already"):
        start(spec("a", message=ECHO), name="one")
    two = start(spec("a", message="self.reply(GenericMessage('two'), message)"), name="two").wait_ready(PATIENCE)
    assert one.call(GenericMessage("one"), timeout=PATIENCE).content.value == "one"
    assert two.call(GenericMessage("?"), timeout=PATIENCE).content.value == "two"
    one.shutdown()
    assert two.call(GenericMessage("?"), timeout=PATIENCE).content.value == "two"
    again = start(spec("a", message=ECHO), name="one").wait_ready(PATIENCE)
    assert again.call(GenericMessage("again"), timeout=PATIENCE).content.value == "again"
