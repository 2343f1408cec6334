from arras_ray.messages import BadSample, Tally
from arras_ray.tallies import Tallies

LOW, MIDDLE, HIGH = BadSample(9, 1, 0), BadSample(2, 3, 0), BadSample(0, 0, 5)


def test_sums_go_over_shards() -> None:
    tallies = Tallies()
    tallies.add(0, "a", 5)
    tallies.add(1, "a", 7, 2, HIGH)
    tallies.add(1, "b", 1, 1, LOW)
    tallies.add(0, "b", 1, 1, MIDDLE)
    assert (tallies.samples_of("a"), tallies.samples_of("b"), tallies.samples_of("c")) == (12, 2, 0)
    assert (tallies.bad_samples, tallies.first_bad) == (4, LOW)


def test_one_shard_is_put_right_by_itself() -> None:
    tallies = Tallies()
    tallies.add(0, "a", 5, 1, LOW)
    tallies.add(1, "a", 7, 2, HIGH)
    told = Tally({"a": 3, "gone": 4}, 1, MIDDLE)
    tallies.put(0, told)
    assert (tallies.samples_of("a"), tallies.samples_of("gone")) == (10, 4)
    assert (tallies.bad_samples, tallies.first_bad) == (3, MIDDLE)
    tallies.add(0, "a", 1)
    assert tallies.of(0) == Tally({"a": 4, "gone": 4}, 1, MIDDLE)
    assert told.samples == {"a": 3, "gone": 4}  # a copy
    assert tallies.of(7) == Tally()
