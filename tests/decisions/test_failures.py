from arras_ray.failures import MAX_FAILED_MCRTS, MAX_FAILED_UNITS, Failures


def test_a_failed_unit_is_not_for_the_same_mcrt_again() -> None:
    failures = Failures()
    failures.fail("a", [4], "it raised")
    assert failures.is_suspect(4)
    assert not failures.may_try("a", 4)
    assert failures.may_try("b", 4)
    assert failures.may_try("a", 5)


def test_an_mcrt_is_left_out_for_failing_different_units() -> None:
    failures = Failures()
    for _ in range(MAX_FAILED_UNITS):
        failures.fail("a", [4], "it raised")
    assert not failures.left_out
    failures.fail("a", [5, 6], "it raised")
    assert failures.left_out == ("a",)
    failures.clear([4, 5, 6])  # others could
    assert failures.left_out == ("a",)


def test_a_unit_is_bad_on_enough_mcrts_or_on_all() -> None:
    failures = Failures()
    assert not failures.has_units
    for mcrt in "abc"[: MAX_FAILED_MCRTS - 1]:
        failures.fail(mcrt, [4], f"{mcrt} raised")
        assert failures.bad_unit(["a", "b", "c", "d"]) is None
    assert failures.bad_unit(["a", "b"]) == (4, {"a": "a raised", "b": "b raised"})
    assert failures.bad_unit([]) is None
    failures.fail("c", [4], "c raised")
    assert failures.bad_unit([]) == (4, {"a": "a raised", "b": "b raised", "c": "c raised"})
    failures.clear([4])
    assert failures.bad_unit([]) is None
    assert not failures.is_suspect(4)
    assert not failures.has_units


def test_the_lowest_bad_unit_is_named() -> None:
    failures = Failures()
    failures.fail("a", [9, 4], "it raised")
    bad = failures.bad_unit(["a"])
    assert bad is not None
    assert bad[0] == 4


def test_units_of_a_crash_are_suspects_until_rendered_and_then_it_was_the_mcrt() -> None:
    failures = Failures()
    for first in range(0, 2 * MAX_FAILED_UNITS, 2):
        failures.crash("a", [first, first + 1])
        assert failures.is_suspect(first)
        assert failures.may_try("a", first)
        failures.clear([first])
        assert not failures.left_out
        failures.clear([first + 1])
    assert failures.left_out == ("a",)
    assert not failures.has_units


def test_a_crash_is_not_the_mcrts_while_one_of_its_units_is_not_rendered() -> None:
    failures = Failures()
    for _ in range(MAX_FAILED_UNITS):
        failures.crash("a", [1, 2])
    failures.fail("b", [1], "it crashed")
    failures.clear([2])
    assert not failures.left_out
    failures.clear([1])
    assert failures.left_out == ("a",)


def test_a_crash_with_nothing_to_suspect_is_the_mcrts_own() -> None:
    failures = Failures()
    for _ in range(MAX_FAILED_UNITS):
        failures.crash("a", [])
    assert failures.left_out == ("a",)
