"""How much may be under way in a local session: what waits has a bound, and image frames their credit."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from small_computations import Array, anonymous_memory
from stage import GIGABYTE, MEGABYTE, PATIENCE, Gate, Stage, eventually, spec

from arras_ray.errors import ComputationError
from arras_ray.session import flow, local_supervisor
from arras_ray.session.handle import LogLine
from arras_ray.session.local_session import LocalSession
from arras_ray.session.message import CreditUpdate, GenericMessage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

BOUND = 16 * MEGABYTE
MESSAGE = 2 * MEGABYTE
MOST_AHEAD = BOUND // MESSAGE + 2
"""Messages that may have been begun and not been handled: those that wait, with which the bound is just passed; one
that is to be passed on; one that is not sent yet."""

COUNT = 30

FLOOD = f"""
import numpy as np
for number in range({COUNT}):
    with open(config["begun"], "ab") as begun:
        begun.write(b".")
    self.send(Array(str(number), np.full({MESSAGE}, number, np.uint8)))
"""
MEASURE = f"""
self.ahead = max(getattr(self, "ahead", 0), os.path.getsize(config["begun"]) - int(message.content.name))
self.mapped = max(getattr(self, "mapped", 0), mapped_memory())
assert (message.content.pixels == int(message.content.name)).all()
if message.content.name == "0":
    wait_at(config["gate"])
if message.content.name == "{COUNT - 1}":
    self.send((self.ahead, self.mapped), to=["(client)"])
"""


@pytest.fixture
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MOST_WAITING", BOUND)


def until_full(session: LocalSession, name: str) -> None:
    """Wait until a computation has as much waiting as it may have, and a little more is sent."""
    eventually(lambda: next(row.waiting for row in session.status().computations if row.name == name) > BOUND)


@pytest.mark.usefixtures("small_bound")
def test_a_computation_that_does_not_take_holds_up_another(stage: Stage, gate: Gate, tmp_path: Path) -> None:
    begun = str(tmp_path / "begun")
    session = stage(
        spec("source", message=FLOOD, begun=begun),
        spec("sink", accepts=["source"], message=MEASURE, begun=begun, gate=gate.path),
        client={},
    )
    session.send(GenericMessage("go"))
    until_full(session, "sink")
    gate.open()
    ahead, mapped = next(session.messages(PATIENCE)).content
    assert ahead == MOST_AHEAD
    assert BOUND < mapped < BOUND + MESSAGE


@pytest.mark.usefixtures("small_bound")
def test_a_computation_that_does_not_take_holds_up_the_client(stage: Stage, gate: Gate, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    session = stage(spec("sink", message=MEASURE, begun=str(begun), gate=gate.path), client={})

    def flood() -> None:
        for number in range(COUNT):
            with begun.open("ab") as file:
                file.write(b".")
            session.send(Array(str(number), np.full(MESSAGE, number, np.uint8)))

    thread = threading.Thread(target=flood)
    thread.start()
    until_full(session, "sink")
    assert thread.is_alive()
    gate.open()
    ahead, mapped = next(session.messages(PATIENCE)).content
    thread.join()
    assert ahead == MOST_AHEAD
    assert BOUND < mapped < BOUND + MESSAGE


@pytest.mark.usefixtures("small_bound")
def test_a_client_that_does_not_take_holds_up_a_computation(stage: Stage, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    session = stage(spec("source", message=FLOOD, begun=str(begun)))
    session.send(GenericMessage("go"))
    eventually(lambda: begun.exists() and begun.stat().st_size == MOST_AHEAD)
    messages = session.messages(PATIENCE)
    ahead = []
    for number in range(COUNT):
        assert next(messages).content.name == str(number)
        ahead.append(begun.stat().st_size - number)
    assert max(ahead) <= MOST_AHEAD


def test_small_messages_are_counted_too(stage: Stage, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MOST_MESSAGES", 50)
    count = 1000
    session = stage(
        spec(
            "sink",
            message=f"""
if message.content.value == "0":
    wait_at(config["gate"])
if message.content.value == "{count - 1}":
    self.send(message.content, reply_to=message)
""",
            gate=gate.path,
        )
    )
    sent: list[int] = []

    def flood() -> None:
        for number in range(count):
            session.send(GenericMessage(str(number)))
            sent.append(number)

    thread = threading.Thread(target=flood)
    thread.start()
    most = 51 + flow.MOST_UNPASSED_MESSAGES + 1
    eventually(lambda: len(sent) == most)
    assert session.status().computations[0].received == 51
    gate.open()
    assert next(session.messages(PATIENCE)).content.value == str(count - 1)
    thread.join()


def test_two_that_send_each_other_much_both_get_it(stage: Stage) -> None:
    count = 2000
    script = {
        "start": f"""
self.got = 0
for number in range({count}):
    self.send(number, to=[config["other"]])
""",
        "message": f"""
assert message.content == self.got
self.got += 1
if self.got == {count}:
    self.send(self.got, to=["(client)"])
""",
    }
    session = stage(spec("one", other="two", **script), spec("two", other="one", **script))
    messages = session.messages(PATIENCE)
    assert [next(messages).content, next(messages).content] == [count, count]


@pytest.mark.usefixtures("small_bound")
def test_two_that_are_both_full_are_reported_and_can_be_shut_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both send in one go, and take nothing meanwhile."""
    monkeypatch.setattr(local_supervisor, "STUCK_SECONDS", 0.1)
    flood = (
        f"import numpy as np\nfor _ in range({COUNT}): self.send(np.zeros({MESSAGE}, np.uint8), to=[config['other']])"
    )
    session = stage(spec("one", start=flood, other="two"), spec("two", start=flood, other="one"))
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    eventually(lambda: {line.computation for line in lines} >= {"one", "two"})
    assert session.shutdown().as_asked
    told = {line.computation: line.text for line in lines}
    assert told == {
        "one": "16 MB of messages wait for it, and two to send more",
        "two": "16 MB of messages wait for it, and one to send more",
    }


@pytest.mark.usefixtures("small_bound")
def test_a_client_that_waits_to_send_hears_of_the_end(stage: Stage, gate: Gate) -> None:
    session = stage(spec("sink", message=f"wait_at({gate.path!r}); os._exit(1)"))
    caught: list[BaseException] = []

    def flood() -> None:
        try:
            for _ in range(COUNT):
                session.send(np.zeros(MESSAGE, np.uint8))
        except ComputationError as error:
            caught.append(error)

    thread = threading.Thread(target=flood)
    thread.start()
    until_full(session, "sink")
    gate.open()
    thread.join()
    session.wait_stopped(PATIENCE)
    assert len(caught) <= 1  # those sent while the others stop are lost


PAINT = """
import numpy as np
pixels = np.zeros(100_000)
for number in range(1, 11):
    pixels.fill(number)
    self.send(Picture(number, pixels))
self.send("painted")
pixels.fill(-1)
"""
ALL = list(range(1, 11))


@pytest.mark.parametrize(
    ("credit", "expected"),
    [({}, ALL), ({"initialCredit": -1}, ALL), ({"initialCredit": "2"}, ALL), ({"initialCredit": 2.0}, [1, 2, 10])],
)
def test_while_there_is_no_credit_the_newest_picture_waits(
    stage: Stage, credit: dict[str, object], expected: list[int]
) -> None:
    """Pictures stay as they were when they were sent, whatever becomes of the array."""
    session = stage(spec("painter", message=PAINT, **credit))
    session.send("paint")
    frames = session.frames(PATIENCE)
    for number in expected:
        frame = next(frames)
        assert frame.number == number
        assert set(frame.pixels) == {number}
    session.send("paint")
    assert next(frames).number == 1


def test_credit_goes_back_when_a_picture_is_handled_not_when_it_comes(stage: Stage, gate: Gate) -> None:
    shows = """
if isinstance(message.content, Picture):
    if message.content.number == 1:
        wait_at(config["gate"])
    self.send(message.content.number)
"""
    session = stage(
        spec("painter", message=PAINT, initialCredit=1),
        spec("viewer", accepts=["painter"], message=shows, sendCredit=True, gate=gate.path),
    )
    session.send("paint")
    messages = session.messages(PATIENCE)
    assert next(message.content for message in messages if message.content == "painted")
    gate.open()
    shown = (message.content for message in messages if message.sender == "viewer")
    assert [next(shown), next(shown)] == [1, 10]


def test_a_client_gives_credit_by_hand(stage: Stage) -> None:
    session = stage(spec("painter", message=PAINT, initialCredit=0))
    session.send("paint")
    assert next(session.messages(PATIENCE)).content == "painted"
    session.send(CreditUpdate(1, "Set"), to=["painter"])
    assert next(session.messages(PATIENCE)).content.number == 10


def test_a_receiver_that_gives_no_credit_back_is_reported(stage: Stage) -> None:
    hurry = "import arras_ray.session.host as host; host.STUCK_SECONDS = 0.05"
    session = stage(
        spec("painter", initialize=hurry, message=PAINT, initialCredit=1), spec("viewer", accepts=["painter"])
    )
    lines: list[LogLine] = []
    session.listen(log=lines.append)
    session.send("paint", to=["painter"])
    text = "viewer has returned no credit for 0 s: image frames wait"
    eventually(lambda: LogLine("painter", 2, text) in lines)


def test_a_large_array_is_copied_once(stage: Stage) -> None:
    """What travels is in no process's own memory but in that of its maker: it is written once and mapped."""
    size = 64 * MEGABYTE
    script = """
import numpy as np
taken = anonymous_memory()
total = int(message.content.pixels.sum(dtype=np.int64))
self.send((total, anonymous_memory() - taken, mapped_memory(), len(os.listdir("/proc/self/fd"))), reply_to=message)
self.send(np.ones(config["size"], np.uint8))
"""
    session = stage(spec("script", message=script, size=size)).wait_ready(PATIENCE)
    pixels = np.ones(size, np.uint8)
    before = anonymous_memory()
    total, theirs, mapped, files = session.call(Array("large", pixels), timeout=PATIENCE).content
    ours = anonymous_memory() - before
    before = anonymous_memory()
    back = next(session.messages(PATIENCE)).content
    assert int(back.sum(dtype=np.int64)) == total == size
    assert size <= mapped <= size + MEGABYTE
    assert max(theirs, ours, anonymous_memory() - before) < size / 4
    assert session.call(Array("again", pixels), timeout=PATIENCE).content[-1] == files


@pytest.mark.slow
def test_a_message_of_gigabytes_passes_both_ways(stage: Stage) -> None:
    """Of 4 GB, if the machine has eight times as much free memory."""
    size = min(4 * GIGABYTE + 1, psutil.virtual_memory().available // 8)
    session = stage(spec("echo", "Echo"))
    pixels = np.zeros(size, np.uint8)
    pixels[:: 4096 - 1] = 7
    back = session.call(Array("huge", pixels)).content.pixels
    assert back.nbytes == size
    assert np.array_equal(back, pixels)


@pytest.mark.slow
def test_what_waits_stays_below_the_bound_that_is_documented(stage: Stage, gate: Gate) -> None:
    """256 MB, and one message more."""
    message = 16 * MEGABYTE
    flood = f"import numpy as np\nfor number in range(40): self.send(Array(str(number), np.zeros({message}, np.uint8)))"
    measure = (
        "wait_at(config['gate']) if message.content.name == '0' else None; self.send(mapped_memory(), to=['(client)'])"
    )
    session = stage(
        spec("source", message=flood), spec("sink", accepts=["source"], message=measure, gate=gate.path), client={}
    )
    session.send(GenericMessage("go"))
    bound = 256 * MEGABYTE
    eventually(lambda: session.status().computations[1].waiting > bound)
    gate.open()
    messages = session.messages(PATIENCE)
    assert bound < max(next(messages).content for _ in range(40)) < bound + 2 * message
