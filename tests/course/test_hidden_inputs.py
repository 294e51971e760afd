"""For marking, every check draws other numbers, and still tells right from wrong."""

import pytest
import torch

from vggt_lite.course import checks
from vggt_lite.course.checks.compare import difference
from vggt_lite.course.checks.seeds import other_inputs
from vggt_lite.course.grading.hidden import ADDED, marking_check

CHECKS = checks.every_check()
SEEDS = (7, 999_999)


def expected(key: str, seed: int) -> dict:
    with other_inputs(seed):
        check = marking_check(key)
        return check.results(check.reference)


@pytest.mark.parametrize("key", CHECKS)
def test_public_outputs_are_wrong_for_hidden_inputs(key):
    public, hidden = CHECKS[key].results(CHECKS[key].reference), expected(key, 7)
    assert public.keys() <= hidden.keys()
    cases = [difference(public.get(label), hidden[label]).problem for label in hidden]
    assert any(cases), "add cases for this check to vggt_lite/course/grading/hidden.py"


@pytest.mark.parametrize("key", CHECKS)
def test_two_teachers_draw_different_inputs_and_one_draws_the_same_twice(key):
    one, again, other = expected(key, 7), expected(key, 7), expected(key, 8)
    assert not difference(one, again, atol=0, rtol=0).problem
    assert difference(one, other).problem


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("key", CHECKS)
def test_the_right_answer_passes_and_known_mistakes_do_not(key, seed):
    with other_inputs(seed):
        check = marking_check(key)
        assert check(check.reference).passed
        assert not [mistake for mistake, wrong in check.mutants.items() if check(wrong).passed]


def test_the_public_inputs_come_back_after_marking():
    before = CHECKS["attention.multi_head"].cases()
    with pytest.raises(RuntimeError), other_inputs(3):
        raise RuntimeError
    after = CHECKS["attention.multi_head"].cases()
    assert all(torch.equal(before[label][0], after[label][0]) for label in before)


def test_added_cases_belong_to_checks_that_exist():
    assert ADDED.keys() <= CHECKS.keys()
    with pytest.raises(KeyError):
        marking_check("attention.gone")
