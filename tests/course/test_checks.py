"""Every exercise check accepts the right answer, rejects every catalogued wrong one, and says which it is."""

import pytest
import torch

from vggt_lite.course import checks
from vggt_lite.course.checks.compare import difference

CHECKS = checks.every_check()
MUTANTS = [(key, mistake) for key, check in CHECKS.items() for mistake in check.mutants]


@pytest.fixture(params=CHECKS)
def check(request) -> checks.Check:
    return CHECKS[request.param]


def test_the_reference_passes(check):
    assert check(check.reference).passed, check(check.reference)


@pytest.mark.parametrize(("key", "mistake"), MUTANTS)
def test_a_known_wrong_answer_is_rejected_and_named(key, mistake):
    outcome = CHECKS[key](CHECKS[key].mutants[mistake])
    assert not outcome.passed
    assert outcome.mistake == mistake, "the check takes it for another mistake, or for none"
    assert mistake.rstrip(".") in outcome.message


def test_there_are_three_wrong_answers_and_three_cases(check):
    assert len(check.mutants) >= 3
    assert len(check.cases()) >= 3


def test_the_cases_are_the_same_each_time(check):
    with torch.random.fork_rng():
        torch.manual_seed(1)  # what came before must not matter
        one = check.results(check.reference)
    two = check.results(check.reference)
    assert one.keys() == two.keys()
    assert not [label for label in one if difference(one[label], two[label], atol=0, rtol=0).problem]


def test_a_stub_is_told_apart_from_a_wrong_answer(check):
    def stub(*args, **kwargs):
        """To be written."""
        ...

    def unwritten(*args, **kwargs):
        raise NotImplementedError

    for blank in (stub, lambda *args: None, None, ...):
        assert check(blank).state == "blank"
    assert check(unwritten).state in ("blank", "wrong")  # a class raises when it is made
    assert "not written yet" in repr(check(stub))


def test_an_exception_is_told_in_one_line(check):
    def broken(*args, **kwargs):
        raise RuntimeError("shapes do\nnot match")

    outcome = check(broken)
    assert not outcome.passed
    assert "RuntimeError" in outcome.message and "\n" not in outcome.message


def test_nothing_is_printed_and_randomness_is_left_alone(check, capsys):
    before = torch.get_rng_state()
    check(check.reference), check(lambda *args: torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")


def test_every_topic_has_checks():
    assert {key.split(".")[0] for key in CHECKS} == set(checks.topics())
