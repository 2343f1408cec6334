"""A party's end of its connections, without any that carry messages."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from arras_ray.errors import MessageError
from arras_ray.session.message import CLIENT, CreditUpdate, Envelope, GenericMessage, numbered, pack, unpack
from arras_ray.session.party import MOST_MESSAGES, Party
from arras_ray.session.routing import EVERYTHING, Rule

OTHERS = frozenset({CLIENT, "a", "b"})


@dataclass
class Frame:
    pixels: np.ndarray

    is_image = True


class Post:
    """Where messages of a party go."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Envelope]] = []

    def __call__(self, receiver: str, envelope: Envelope) -> None:
        self.sent.append((receiver, envelope))

    @property
    def values(self) -> list[tuple[str, object]]:
        return [(receiver, unpack(envelope).content) for receiver, envelope in self.sent]


def message(number: int, text: str = "", sender: str = "a") -> Envelope:
    return numbered(pack(GenericMessage(text), sender), number)


def test_a_message_goes_to_those_that_accept_it_each_counted_by_itself() -> None:
    post = Post()
    party = Party("x", {"a": EVERYTHING, "b": Rule(accept=frozenset({"Other"}))}, OTHERS, post)
    party.post(GenericMessage("1"))
    party.post(GenericMessage("2"), routing_name="Other")
    party.post(GenericMessage("3"), (CLIENT,))
    to = [(receiver, envelope.number, unpack(envelope).content.value) for receiver, envelope in post.sent]
    assert to == [("a", 1, "1"), ("a", 2, "2"), ("b", 1, "2"), (CLIENT, 1, "3")]
    assert party.sent == 4
    with pytest.raises(MessageError, match="there is no c"):
        party.post(GenericMessage("4"), ("a", "c"))
    assert party.sent == 4


def test_messages_are_taken_in_the_order_they_were_sent_and_once() -> None:
    party = Party("x", {}, OTHERS, Post())
    for number in (2, 3, 1, 2):
        party.accept(message(number, str(number)))
    party.accept(message(1, "b", "b"))
    taken = [party.take(0) for _ in range(5)]
    assert [unpack(one).content.value for one in taken if one] == ["1", "2", "3", "b"]
    assert taken[-1] is None
    assert party.received == 4


def test_what_is_not_handled_counts_as_waiting() -> None:
    handled: list[Envelope] = []
    party = Party("x", {}, OTHERS, Post(), handled=handled.append)
    first = message(1, "one")
    party.accept(first)
    assert party.take(0) is first
    assert party.waiting == first.size
    party.done(first)
    assert (party.waiting, handled) == (0, [first])


def test_one_who_sends_too_much_waits() -> None:
    party = Party("x", {}, OTHERS, Post())
    for number in range(1, MOST_MESSAGES + 2):
        party.accept(message(number))
    late = threading.Thread(target=party.accept, args=(message(MOST_MESSAGES + 2),))
    late.start()
    assert party.received == MOST_MESSAGES + 1
    first = party.take(0)
    assert first is not None
    party.done(first)
    late.join()
    assert party.received == MOST_MESSAGES + 2


def test_who_waits_for_a_message_goes_on_when_told_to() -> None:
    party = Party("x", {}, OTHERS, Post())
    enough = threading.Event()
    taken: list[Envelope | None] = []
    thread = threading.Thread(target=lambda: taken.append(party.take(None, enough.is_set)))
    thread.start()
    party.look_again()  # still nothing
    enough.set()
    party.look_again()
    thread.join()
    assert taken == [None]


def test_a_paused_party_takes_nothing_and_a_closed_one_never_again() -> None:
    party = Party("x", {}, OTHERS, Post())
    party.accept(message(1))
    party.pause(True)
    assert party.take(0) is None
    party.pause(False)
    assert party.take(0) is not None
    party.close()
    party.accept(message(2))
    assert party.take(None) is None
    assert party.received == 1


def test_one_connection_that_is_blocked_holds_up_no_other() -> None:
    reached, blocked = threading.Event(), threading.Event()
    post = Post()

    def outlet(receiver: str, envelope: Envelope) -> None:
        if receiver == "a":
            reached.set()
            blocked.wait()
        post(receiver, envelope)

    party = Party("x", {}, OTHERS, outlet)
    thread = threading.Thread(target=party.post, args=(GenericMessage("slow"), ("a",)))
    thread.start()
    reached.wait()
    party.post(GenericMessage("quick"), ("b",))
    assert party.stuck() == {}
    assert post.values == [("b", GenericMessage("quick"))]
    blocked.set()
    thread.join()


def test_credit_is_kept_for_each_connection_and_is_for_images_only() -> None:
    post, posted = Post(), list[Envelope]()
    party = Party("x", {"a": EVERYTHING, "b": EVERYTHING}, OTHERS, post, initial_credit=1, posted=posted.append)
    pixels = np.zeros(3)
    for number in (1, 2, 3):
        pixels.fill(number)
        party.post(Frame(pixels))
    pixels.fill(-1)
    party.post(GenericMessage("text"))
    went = [(receiver, envelope.name, envelope.on_credit) for receiver, envelope in post.sent]
    assert went == [
        ("a", "Frame", True),
        ("b", "Frame", True),
        ("a", "GenericMessage", False),
        ("b", "GenericMessage", False),
    ]
    assert party.stuck().keys() == {"a", "b"}
    assert len(posted) == 4
    party.accept(numbered(pack(CreditUpdate(), "a"), 1))
    party.accept(message(2, "after"))
    assert unpack(party.take(0)).content.value == "after"  # type: ignore[arg-type]
    receiver, frame = post.values[-1]
    assert (receiver, list(frame.pixels)) == ("a", [3, 3, 3])  # type: ignore[attr-defined]
    assert party.stuck().keys() == {"b"}
    assert len(posted) == 5
    assert party.received == 2


def test_credit_goes_back_for_images_that_are_handled_and_took_any() -> None:
    post = Post()
    party = Party("x", {}, OTHERS, post, returns_credit=True)
    image = pack(Frame(np.zeros(3)), "a", source_id="mine")._replace(number=1, on_credit=True)
    party.accept(image)
    party.accept(message(2))
    party.accept(numbered(pack(Frame(np.zeros(3)), "a"), 3))
    for _ in range(3):
        one = party.take(0)
        assert one is not None
        assert len(post.sent) == (one is not image)
        party.done(one)
    assert post.values == [("a", CreditUpdate(1))]
    assert post.sent[0][1].source_id == "mine"


@pytest.mark.parametrize("update", [CreditUpdate(mode="More"), CreditUpdate("much")])  # type: ignore[arg-type]
def test_a_credit_update_that_cannot_be_meant_is_an_error(update: CreditUpdate) -> None:
    party = Party("x", {}, OTHERS, Post(), initial_credit=1)
    party.accept(numbered(pack(update, "a"), 1))
    with pytest.raises(MessageError, match="a CreditUpdate from a cannot be meant"):
        party.take(0)
    assert party.waiting == 0


def test_credit_that_is_off_stays_off_and_nobody_sees_updates() -> None:
    post = Post()
    party = Party("x", {"a": EVERYTHING}, OTHERS, post)
    party.accept(numbered(pack(CreditUpdate(0, "Set"), "a"), 1))
    assert party.take(0) is None
    party.post(Frame(np.zeros(1)))
    assert [envelope.on_credit for _, envelope in post.sent] == [False]
