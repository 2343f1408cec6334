"""What has come to a client goes to the call that waits for it, or to whoever wants the rest; nothing is lost."""

from __future__ import annotations

import asyncio
import threading

import pytest
from stage import PATIENCE, eventually

from arras_ray.session.inbox import Inbox
from arras_ray.session.message import CLIENT, Envelope, GenericMessage, numbered, pack, unpack
from arras_ray.session.party import Party


class Box:
    """An inbox, and the party before it."""

    def __init__(self) -> None:
        self.over = False
        self.party = Party(CLIENT, {}, frozenset({"a"}), lambda receiver, envelope: None, arrived=self._ring)
        self.inbox = Inbox(self.party, lambda: self.over)

    def _ring(self) -> None:
        self.inbox.ring_bells()

    def come(self, text: str, source_id: str = "") -> None:
        self.party.accept(numbered(pack(GenericMessage(text), "a", source_id=source_id), self.party.received + 1))

    def end(self) -> None:
        self.over = True
        self.inbox.ring()


@pytest.fixture
def box() -> Box:
    return Box()


def text(envelope: Envelope | None) -> str | None:
    return None if envelope is None else unpack(envelope).content.value


def test_replies_that_others_come_across_go_to_the_call(box: Box) -> None:
    with box.inbox.call() as (source_id, replies):
        box.come("first", source_id)
        box.come("second", source_id)
        box.come("other")
        assert text(box.inbox.take(0)) == "other"
        assert text(box.inbox.take(0, replies)) == "first"
    assert text(box.inbox.take(0)) == "second"
    assert box.inbox.take(0) is None


def test_who_waits_gets_what_a_call_leaves(box: Box) -> None:
    found: list[str | None] = []
    with box.inbox.call() as (source_id, replies):
        waits = threading.Thread(target=lambda: found.append(text(box.inbox.take(None))), daemon=True)
        waits.start()
        box.come("first", source_id)
        box.come("second", source_id)
        assert text(box.inbox.take(None, replies)) == "first"
        eventually(lambda: len(replies) == 1)  # the other thread has put it there, and waits again
    waits.join(PATIENCE)
    assert found == ["second"]


def test_what_a_call_comes_across_is_kept_for_others(box: Box) -> None:
    with box.inbox.call() as (source_id, replies):
        box.come("other")
        assert box.inbox.take(0, replies) is None
        box.come("reply", source_id)
        assert text(box.inbox.take(0, replies)) == "reply"
    assert text(box.inbox.take(0)) == "other"


def test_two_calls_at_once_find_what_the_other_has_taken(box: Box) -> None:
    with box.inbox.call() as (one, replies_to_one), box.inbox.call() as (other, replies_to_other):
        found: list[str | None] = []
        waits = threading.Thread(target=lambda: found.append(text(box.inbox.take(None, replies_to_one))))
        waits.start()
        box.come("to other", other)
        box.come("to one", one)
        assert text(box.inbox.take(None, replies_to_other)) == "to other"
        waits.join()
        assert found == ["to one"]


def test_what_has_come_is_taken_after_the_end_too(box: Box) -> None:
    taken: list[str | None] = []

    def take_all() -> None:
        while (envelope := box.inbox.take(None)) is not None:
            taken.append(text(envelope))

    thread = threading.Thread(target=take_all)
    thread.start()
    box.come("one")
    box.come("two")
    box.end()
    thread.join()
    assert taken == ["one", "two"]


def test_async_takers_are_woken_by_messages_and_by_the_end(box: Box) -> None:
    async def take() -> list[str | None]:
        first = asyncio.create_task(box.inbox.take_async(None))
        await asyncio.sleep(0)
        await asyncio.to_thread(box.come, "one")
        taken = [text(await first)]
        last = asyncio.create_task(box.inbox.take_async(None))
        await asyncio.sleep(0)
        await asyncio.to_thread(box.end)
        return [*taken, text(await last)]

    assert asyncio.run(take()) == ["one", None]


def test_async_takers_give_up_in_time(box: Box) -> None:
    assert asyncio.run(box.inbox.take_async(0.01)) is None


def test_a_loop_that_is_closed_disturbs_nobody(box: Box) -> None:
    async def leave() -> None:
        asyncio.create_task(box.inbox.take_async(None))  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(leave())
    box.come("later")
    assert text(box.inbox.take(0)) == "later"
