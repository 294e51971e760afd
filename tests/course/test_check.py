"""The machine behind the exercise checks: what it says to each kind of answer."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from vggt_lite.course import checks
from vggt_lite.course.checks import Check, Outcome, compare
from vggt_lite.course.checks.check import edited
from vggt_lite.geometry import convert_cameras
from vggt_lite.model import attention_weights


def weights(q, k):
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)


def case(*shape):
    generator = torch.Generator().manual_seed(len(shape))
    return torch.randn(*shape, generator=generator), torch.randn(*shape, generator=generator)


SKIPPED, DIVIDED = "you skipped the division by √d", "you divided by d instead of √d"
CHECK = Check(
    name="attention weights",
    reference=weights,
    cases=lambda: {"three tokens": case(3, 4), "a batch": case(2, 3, 4), "one token": case(1, 4)},
    mutants={
        SKIPPED: "/ q.shape[-1] ** 0.5 →",
        DIVIDED: lambda q, k: (q @ k.mT / q.shape[-1]).softmax(-1),
        "you mixed the scenes of a batch": lambda q, k: weights(q.flatten(0, -2), k.flatten(0, -2)),
    },
    hint="What do large scores do to `softmax`?",
)


def test_a_right_answer_passes_whatever_its_rounding():
    assert CHECK(lambda q, k: torch.softmax(q @ (k / 2).mT, -1)).passed


def test_a_known_mistake_is_named_without_giving_the_answer_away():
    outcome = CHECK(lambda q, k: torch.exp(q @ k.mT) / torch.exp(q @ k.mT).sum(-1, keepdim=True))
    assert (outcome.passed, outcome.mistake) == (False, SKIPPED)
    assert outcome.hint is None


def test_an_unknown_mistake_shows_case_place_and_size():
    outcome = CHECK(lambda q, k: weights(q, k) + (q.ndim == 3))
    assert outcome.mistake is None and outcome.hint == CHECK.hint
    assert "“a batch”" in outcome.message and "largest difference 1 at [" in outcome.message
    assert "Right in 2 of 3 cases" in outcome.message
    assert outcome.difference == pytest.approx(1)


@pytest.mark.parametrize(
    ("answer", "words"),
    {
        "shape": (lambda q, k: weights(q, k)[..., 0], "the shape is (3,), expected (3, 3)"),
        "NaN": (lambda q, k: weights(q, k) * float("nan"), "9 of 9 values are NaN"),
        "infinity": (lambda q, k: weights(q, k) / 0, "infinite"),
        "list": (lambda q, k: weights(q, k).tolist(), "got a list of 3, expected a tensor of shape (3, 3)"),
        "array": (lambda q, k: weights(q, k).numpy(), "torch.from_numpy"),
        "half precision": (lambda q, k: weights(q, k).half(), "Your values are `torch.float16`"),
        "whole numbers": (lambda q, k: weights(q, k).long(), "Your values are `torch.int64`"),
        "mask": (lambda q, k: weights(q, k) > 0, "`torch.bool`"),
        "two results": (lambda q, k: (weights(q, k), 0), "got a tuple of 2"),
        "a text": (lambda q, k: "abc", "got `'abc'`"),
        "None at times": (lambda q, k: weights(q, k) if q.ndim == 3 else None, "Is a `return` missing?"),
        "too few arguments": (lambda q: q, "TypeError"),
    }.values(),
)
def test_other_answers_are_told_what_is_wrong(answer, words):
    outcome = CHECK(answer)
    assert not outcome.passed and words in outcome.message


def test_the_answer_itself_must_be_handed_over():
    outcome = CHECK(torch.ones(3, 3))
    assert outcome.state == "wrong" and "leave out the `( )`" in outcome.message


@pytest.mark.parametrize("blank", [None, ..., lambda q, k: None, lambda q, k: ...])
def test_nothing_written_yet_is_no_failure(blank):
    assert CHECK(blank).state == "blank"


def test_not_implemented_is_nothing_written_yet():
    def stub(q, k):
        raise NotImplementedError("exercise 3.1")

    assert CHECK(stub).state == "blank"


def test_a_stub_is_recognised_by_what_it_returns_not_by_what_is_made_of_it():
    summed = Check(
        name="sum",
        reference=lambda x: x,
        cases=lambda: {"one": (torch.ones(2),)},
        mutants={},
        run=lambda answer, x: answer(x).sum(),
    )
    assert summed(lambda x: None).state == "blank"
    assert summed(lambda x: x).passed


def divides_in_place(q, k):
    q /= q.shape[-1] ** 0.5
    return (q @ k.mT).softmax(-1)


def writes_into_a_view(q, k):
    shares = weights(q, k)
    k[..., 0] = 0
    return shares


def transposes_in_place(q, k):
    return weights(q, k.transpose_(-2, -1).mT)


@pytest.mark.parametrize(
    ("answer", "name"), [(divides_in_place, "q"), (writes_into_a_view, "k"), (transposes_in_place, "k")]
)
def test_an_answer_that_changes_its_arguments_is_refused_by_their_name(answer, name):
    outcome = CHECK(answer)
    assert not outcome.passed and f"changes `{name}` in place" in outcome.message
    assert CHECK(weights).passed


def test_tensors_inside_other_arguments_are_watched_too():
    first = Check(
        name="first",
        reference=lambda parts: parts["a"][0] + 0,
        cases=lambda: {"one": ({"a": [torch.ones(2)]},)},
        mutants={},
    )
    assert "changes `parts.a[0]` in place" in first(lambda parts: parts["a"][0].add_(1) - 1).message
    assert first(lambda parts: parts["a"][0].clone().add_(1) - 1).passed


TRAINED = dataclasses.replace(CHECK, trained=True)


@pytest.mark.parametrize(
    ("answer", "words"),
    {
        "detached": (lambda q, k: weights(q.detach(), k), "the gradient at `q` is lost"),
        "data": (lambda q, k: weights(q, k.data), "the gradient at `k` is lost"),
        "half of it": (lambda q, k: weights((q + q.detach()) / 2, k), "the gradient at `q` is another"),
        "made anew": (lambda q, k: torch.tensor(weights(q, k).tolist()), "the gradient at `q` is lost"),
        "NumPy": (
            lambda q, k: torch.from_numpy(weights(q, k).numpy()),
            "for gradients your function stopped",
        ),
    }.values(),
)
def test_where_training_goes_through_a_lost_gradient_is_told(answer, words):
    outcome = TRAINED(answer)
    assert not outcome.passed and words in outcome.message
    assert CHECK(answer).passed, "its numbers are right"


def stable(q, k):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    shares = (scores - scores.detach().amax(-1, keepdim=True)).exp()
    return shares / shares.sum(-1, keepdim=True)


def by_rows(q, k):
    scores = torch.einsum("...ld,...md->...lm", q, k)
    return torch.stack([row.softmax(-1) for row in (scores / q.shape[-1] ** 0.5).unbind(-2)], dim=-2)


@pytest.mark.parametrize("answer", [stable, by_rows, lambda q, k: weights(q.double(), k.double()).float()])
@pytest.mark.parametrize("grad", [True, False])
def test_right_answers_of_other_kinds_train_as_well(answer, grad):
    with torch.set_grad_enabled(grad):  # lesson 02 turns it off
        assert TRAINED(answer).passed
        assert torch.is_grad_enabled() == grad


def test_a_function_that_is_to_be_written_may_not_be_called_under_any_name():
    def calls_it(q, k, borrowed=weights):
        return borrowed(q, k)

    alone = dataclasses.replace(CHECK, without=(weights,))
    assert alone(calls_it).message == "It calls `weights` of the package: write it yourself."
    assert alone(by_rows).passed and CHECK(calls_it).passed


@pytest.mark.parametrize(
    ("answer", "name"),
    {
        "reference": (
            lambda q, k: checks.attention.attention_weights.reference(q, k),
            "shares_of_keys",
        ),
        "the package's": (lambda q, k: attention_weights(q, k), "attention_weights"),
    }.values(),
)
def test_an_answer_that_calls_the_reference_is_not_ones_own(answer, name):
    message = checks.attention.attention_weights(answer).message
    assert message == f"It calls `{name}` of the package: write it yourself."


def test_convert_cameras_is_not_called_in_the_exercise_on_conventions():
    outcome = checks.frames.from_opengl(
        lambda poses: convert_cameras(poses, "opengl_world_from_cam", "opencv_cam_from_world")
    )
    assert outcome.message == "It calls `convert_cameras` of the package: write it yourself."


def overwrites_what_the_gradient_needs(q, k):
    scores = (q @ k.mT / q.shape[-1] ** 0.5).exp()
    scores /= scores.sum(-1, keepdim=True)
    return scores


def test_a_value_overwritten_on_the_way_is_told_in_words():
    message = TRAINED(overwrites_what_the_gradient_needs).message
    assert "your function overwrites a tensor that the gradient still needs" in message
    assert "RuntimeError" not in message


def unwritten_score(q, k):
    """To be written."""
    ...


class Unwritten:
    def forward(self, x):
        """To be written."""
        ...


def made_of_pieces(q, k):
    return [unwritten_score(row, k).softmax(-1) for row in q]


def made_of_a_class(q, k):
    return Unwritten().forward(q)


@pytest.mark.parametrize(
    ("answer", "piece"), [(made_of_pieces, "unwritten_score"), (made_of_a_class, "Unwritten")]
)
def test_a_piece_that_is_still_blank_is_named(answer, piece):
    outcome = CHECK(answer)
    assert outcome.state == "blank"
    assert f"`{piece}`, a piece of `{answer.__name__}`, is not written yet" in outcome.message


def test_classes_are_tried_by_a_function_of_ones_own():
    same = Check(
        name="same",
        reference=torch.nn.Identity,
        cases=lambda: {"one": (torch.ones(2),)},
        mutants={},
        run=lambda answer, x: answer()(x),
    )
    assert same(torch.nn.Identity).passed
    assert not same(torch.nn.Sigmoid).passed


def test_an_edit_replaces_text_of_the_reference_and_refuses_text_that_is_not_there():
    q, k = case(3, 4)
    assert torch.equal(
        edited(weights, "/ q.shape[-1] ** 0.5 →; softmax → log_softmax")(q, k), (q @ k.mT).log_softmax(-1)
    )
    with pytest.raises(ValueError, match="weights has no 'tanh'"):
        edited(weights, "tanh → sin")


def test_an_outcome_reads_in_a_notebook_in_light_and_dark():
    html = Outcome("wrong", "a < b", "Use `x & y`.", hint="Look at `z`.")._repr_html_()
    assert "a &lt; b" in html and "<code>x &amp; y</code>" in html
    assert "<details><summary>Hint</summary>Look at <code>z</code>." in html
    assert "background" not in html  # the page's own, light or dark


def test_an_outcome_prints_in_words():
    assert repr(Outcome("passed", "sum", "3 cases agree.")) == "✓ sum: passed. 3 cases agree."
    assert repr(Outcome("wrong", "sum", "No.", hint="Add.")) == "✗ sum: not yet. No.\n  Hint: Add."


@dataclass
class Pose:
    turn: torch.Tensor
    steps: int = 3


def test_comparisons_show_the_largest_difference():
    one = torch.tensor([1.0, 2.0])
    outcome = compare(one, one + 2**-20)
    assert outcome.passed and outcome.difference == pytest.approx(2**-20)
    assert outcome.message == "2 numbers compared; largest difference 1e-06."
    assert "at [1]: got 2, expected 2.5" in compare(one, torch.tensor([1.0, 2.5])).message


def test_the_first_part_that_differs_is_shown():
    one = torch.ones(2)
    outcome = compare([one, one, one], [one, one + 1, one + 9])
    assert outcome.message.startswith("`[1]`: largest difference 1 at [0]")
    assert outcome.difference == 9


def test_masks_are_compared_in_true_and_false():
    mask = torch.eye(2) > 0
    assert compare(mask, mask).passed
    outcome = compare(mask, ~mask & torch.tensor([[True, True], [False, False]]))
    assert outcome.message == "3 of 4 values differ: got True, expected False at [0, 0]."


def test_keys_that_differ_are_named():
    one = torch.ones(2)
    outcome = compare({1: one, 2: one}, {0: one, 1: one})
    assert outcome.message == "got a dict with 1, 2, expected a dict with 0, 1."


def test_comparisons_go_into_tuples_dictionaries_and_dataclasses():
    one = torch.ones(2)
    assert compare({"a": [one, Pose(one)]}, {"a": (one, Pose(one))}).passed
    outcome = compare({"a": [one, Pose(one)]}, {"a": [one, Pose(2 * one)]})
    assert outcome.message.startswith("`a[1].turn`: largest difference 1 at [0]")
    assert compare(pose=(one, one), scale=(1.0, torch.tensor(1.0))).passed
    assert compare(pose=(one, one), scale=(1.0, 2.0)).message.startswith("`scale`: ")


@pytest.mark.parametrize(
    "pair",
    [
        (None, torch.ones(1)),
        (torch.ones(2), torch.ones(1)),
        (torch.ones(2), [torch.ones(2)]),
        ([torch.ones(2)], torch.ones(2)),
        ({"a": torch.ones(1)}, {"a": torch.ones(1), "b": torch.ones(1)}),
        (torch.tensor([float("nan")]), torch.ones(1)),
        (torch.ones(1), torch.tensor([float("nan")])),
        (torch.ones(1), torch.tensor([float("inf")])),
        (torch.ones(1, dtype=torch.complex64), torch.ones(1)),
        (torch.tensor([1 + 1j]), torch.tensor([1 - 1j])),
        (torch.empty(0), torch.empty(0)),
        (None, None),
        ("same", "different"),
    ],
)
def test_comparisons_never_raise_and_do_not_pass_what_differs(pair):
    assert not compare(*pair).passed
    assert "\n" not in repr(compare(*pair))


def test_a_topic_is_found_by_its_name_and_a_missing_one_is_told():
    assert all(
        getattr(checks, topic).__name__ == f"vggt_lite.course.checks.{topic}" for topic in checks.topics()
    )
    with pytest.raises(AttributeError, match="there is no topic 'alchemy'; there are"):
        checks.alchemy  # noqa: B018
