"""What the checks of assembled classes say of parts that carry weights: their names, their sizes."""

import pytest
from torch import nn

from vggt_lite.config import NANO
from vggt_lite.course.checks import assembled
from vggt_lite.course.checks.check import edited
from vggt_lite.model import layers
from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead


def qk_norm_in_the_trunk(*sizes):
    head = CameraHead(*sizes)
    head.trunk = nn.ModuleList(layers.Block(192, 4, qk_norm=True) for _ in head.trunk)
    return head


def narrow_perceptron(*sizes, **options):
    block = assembled.PositionedBlock(*sizes, **options)
    block.mlp = layers.Mlp(96, 2 * 96)
    return block


def weights_for_the_mean(config):
    network = Aggregator(config)
    network.mean = nn.Parameter(network.mean)
    return network


@pytest.mark.parametrize(
    ("check", "answer", "words"),
    {
        "QK-norm with weights": (
            assembled.camera_head,
            qk_norm_in_the_trunk,
            "has `trunk.0.attn.q_norm.weight`, which NANO has not: the camera head's trunk has no QK-norm",
        ),
        "no trunk norm": (
            assembled.camera_head,
            edited(CameraHead, "self.trunk_norm = nn.LayerNorm(dim, eps=1e-5) →; self.trunk_norm(x) → x"),
            "has no `trunk_norm.weight`, of shape (192,): a norm stands between the trunk and `pose_branch`",
        ),
        "width of the last perceptron": (
            assembled.camera_head,
            edited(CameraHead, "dim // 2 → 2 * dim"),
            "has `pose_branch.fc1.weight` of shape (384, 192); NANO's is (96, 192): `pose_branch` is half",
        ),
        "width of a block's perceptron": (
            assembled.block,
            narrow_perceptron,
            "has `mlp.fc1.weight` of shape (192, 96); NANO's is (384, 96): a block's MLP is 4 C wide",
        ),
        "no QK-norm": (
            assembled.block,
            lambda *sizes, qk_norm=False, **options: assembled.PositionedBlock(*sizes, **options),
            "has no `attn.q_norm.weight`, of shape (24,): queries and keys of d channels are normalised",
        ),
        "a weight for the mean": (
            assembled.aggregator,
            weights_for_the_mean,
            "has `mean`, which NANO has not: ImageNet's mean is no weight",
        ),
    }.values(),
)
def test_a_part_of_another_name_or_size_is_named_with_its_cause(check, answer, words):
    outcome = check(answer)
    assert not outcome.passed and words in outcome.message, outcome


def test_a_class_that_changes_its_input_is_refused():
    greedy = edited(assembled.PositionedBlock, "x.shape[-1] // → x.mul_(1.5).shape[-1] //")
    assert "changes `x` in place" in assembled.block(greedy).message


class MyBlank(nn.Module):
    def __init__(self, config):
        super().__init__()
        ...

    def forward(self, images): ...


def test_a_blank_class_is_not_written_yet():
    assert assembled.aggregator(MyBlank).state == "blank"
    assert NANO.dim == 96, "the checks build blocks of NANO's size"
