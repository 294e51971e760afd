"""Lesson 04's class as learners write it: wrong in one place and told why, or right in an unusual way."""

import pytest

from tests.course.test_lesson_pieces import LESSONS, defined_in
from tests.notebooks.lesson import tags
from vggt_lite.course.checks import assembled

SPACE = defined_in(LESSONS["04"])
(SOLUTION,) = (
    cell.source.partition("\n\n\nchecks.")[0]
    for cell in LESSONS["04"].code
    if "solution" in tags(cell) and "class MyAggregator" in cell.source
)
PAIR = "both = my_pair(x, B, partial(frame, positions=within), partial(joint, positions=across))"
CAMERA, REGISTERS = (
    f"my_first_and_others(self.{part}, B, S)" for part in ("camera_token", "register_tokens")
)
FRAME_LIST = "nn.ModuleList(MyBlock(dim, heads, qk_norm=True) for _ in pairs)"
TOKEN = "nn.Parameter(torch.zeros(1, 2, 1, dim))"
ENDS = "return both[:, :, 0], kept"
GLOBAL = "joint({}.reshape(B, -1, x.shape[-1]), across).reshape(x.shape)"


def pair(*lines: str) -> tuple[str, str]:
    """These lines in place of the pair of blocks."""
    return PAIR, "\n            ".join(lines)


def joined(*edits: tuple[str, str]) -> str:
    """The lesson's solution with other words in its source."""
    source = SOLUTION
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new)
    return source


def judged(*edits: tuple[str, str]):
    """What the check says of it."""
    space = dict(SPACE)
    exec(compile(joined(*edits), "answer", "exec"), space)
    return assembled.aggregator(space["MyAggregator"])


# What is written in place of what, and words of the message
WRONG = {
    "global first": (
        pair(f"y = {GLOBAL.format('x')}", "both = torch.cat([frame(y, within), y], -1)"),
        "the global block ran first: a pair begins with its frame block",
    ),
    "global first, its half first": (
        pair(f"y = {GLOBAL.format('x')}", "both = torch.cat([y, frame(y, within)], -1)"),
        "the global block ran first, and its half stands first",
    ),
    "both read x": (
        pair(f"both = torch.cat([frame(x, within), {GLOBAL.format('x')}], -1)"),
        "the global block reads what the frame block made",
    ),
    "stream from the frame half": (
        ("x = both[..., x.shape[-1] :]", "x = both[..., : x.shape[-1]]"),
        "the next pair got the frame half",
    ),
    "interleaved": (
        pair(
            "y = frame(x, within)",
            "mixed = y.unflatten(0, (B, S)).transpose(1, 2).reshape(B, -1, x.shape[-1])",
            "both = torch.cat([y, joint(mixed, across).reshape(x.shape)], -1)",
        ),
        "the tokens of a scene were interleaved",
    ),
    "scenes and views exchanged": (
        ("my_pair(x, B, ", "my_pair(x, S, "),
        ("within.repeat(S, 1)", "within.repeat(B, 1)"),
        "scenes and views are exchanged",
    ),
    "registers, slot 0": (
        (REGISTERS, "self.register_tokens[0, :1].expand(B * S, -1, -1)"),
        "every view got slot 0 of the registers",
    ),
    "registers, slot 1": (
        (REGISTERS, "self.register_tokens[0, 1:].expand(B * S, -1, -1)"),
        "every view got slot 1 of the registers",
    ),
    "camera token, slot 0": (
        (CAMERA, "self.camera_token[0, :1].expand(B * S, -1, -1)"),
        "every view got slot 0 of the camera token",
    ),
    "camera token, slot 1": (
        (CAMERA, "self.camera_token[0, 1:].expand(B * S, -1, -1)"),
        "every view got slot 1 of the camera token",
    ),
    "all slot 1": (
        (CAMERA, "self.camera_token[0, 1:].expand(B * S, -1, -1)"),
        (REGISTERS, "self.register_tokens[0, 1:].expand(B * S, -1, -1)"),
        "every view got slot 1 of the special tokens",
    ),
    "first of the batch": (
        ("self.camera_token, B, S", "self.camera_token, 1, B * S"),
        ("self.register_tokens, B, S", "self.register_tokens, 1, B * S"),
        "only the batch's very first view got slot 0",
    ),
    "no positions": (
        ("partial(frame, positions=within), partial(joint, positions=across)", "frame, joint"),
        "neither kind of block got positions",
    ),
    "positions of one view": (("within.repeat(S, 1)", "within"), "the same, repeated for every view"),
    "positions of patches": (("W // side, special)", "W // side, 0)"), "its special tokens included"),
    "positions kept": (
        ("within = grid_positions", "within = self.where = getattr(self, 'where', None) or grid_positions"),
        ("W // side, special)", "W // side, special).tolist()"),
        ("across = ", "within = torch.tensor(within); across = "),
        "made anew for each size of picture",
    ),
    "no QK-norm": (("qk_norm=True", "qk_norm=False"), "queries and keys of d channels are normalised"),
    "ε of the ViT": (("qk_norm=True", "qk_norm=True, norm_eps=1e-6"), "norms have ε = 1e-6"),
    "a norm at the end": (
        ("kept[layer] =", "both = nn.functional.layer_norm(both, both.shape[-1:]); kept[layer] ="),
        "there is no norm after the last pair",
    ),
    "counted from 1": (("kept[layer]", "kept[layer + 1]"), "got a dict with 1, 2, 3, 4, expected"),
    "the last layer": (("kept[layer] =", "kept = {}; kept[layer] ="), "got a dict with 3, expected"),
    "a list of layers": (
        ("kept = {}", "kept = []"),
        ("kept[layer] = both[:, :, special:]", "kept.append(both[:, :, special:])"),
        "`patch tokens`: got a list of 4, expected a dict with 0, 1, 2, 3",
    ),
    "the frame half kept": (
        ("both[:, :, special:]", "both[:, :, special:, : x.shape[-1]]"),
        "`patch tokens.0`: the shape is (1, 3, 6, 96), expected (1, 3, 6, 192)",
    ),
    "a register kept": (
        ("both[:, :, special:]", "both[:, :, special - 1 :]"),
        "`patch tokens.0`: the shape is (1, 3, 7, 192), expected (1, 3, 6, 192)",
    ),
    "camera tokens too early": (
        ("kept[layer] =", "first = first if layer else both; kept[layer] ="),
        ("return both", "return first"),
        "those are the camera tokens of the first pair",
    ),
    "camera tokens flat": (
        (ENDS, "return both[:, :, 0].flatten(0, 1), kept"),
        "`camera tokens`: the shape is (3, 192), expected (1, 3, 192)",
    ),
    "one result": ((ENDS, "return kept"), "return two things: the last camera tokens"),
    "pictures changed": (
        ("(images.flatten(0, 1) - mean) / std", "images.flatten(0, 1).sub_(mean).div_(std)"),
        "changes `images` in place",
    ),
    "mean and spread exchanged": (("- mean) / std", "- std) / mean"), "standard deviation are exchanged"),
    "multiplied": (("- mean) / std", "- mean) * std"), "you multiplied by ImageNet's standard deviation"),
    "each picture's mean": (
        ("- mean) / std", "- images.flatten(0, 1).mean((-1, -2), True)) / std"),
        "you subtracted each picture's own mean",
    ),
    "255": (("(images.flatten(0, 1) -", "(images.flatten(0, 1) / 255 -"), "you divided by 255"),
    "blocks in a list": ((FRAME_LIST, FRAME_LIST.replace("nn.ModuleList", "list")), "hidden from PyTorch"),
    "a pair too few": (("range(config.depth)", "range(config.depth - 1)"), "there are `config.depth` pairs"),
    "no parameter": ((TOKEN, TOKEN.replace("nn.Parameter", "")), "an `nn.Parameter` holds two slots"),
    "one slot": ((TOKEN, TOKEN.replace("2", "1")), "two slots, the first view's and all others'"),
    "stream detached": (("x.shape[-1] :]", "x.shape[-1] :].detach()"), "gradient is cut between the pairs"),
    "no_grad": (("def forward", "@torch.no_grad()\n    def forward"), "no gradient comes back at all"),
    "camera token detached": (
        (CAMERA, CAMERA.replace("token,", "token.data,")),
        "the camera token learns nothing",
    ),
    "registers detached": (
        (REGISTERS, REGISTERS.replace("tokens,", "tokens.detach(),")),
        "the registers learn",
    ),
    "patches detached": (
        ("registers, patches]", "registers, patches.detach()]"),
        "the patch embedding learns",
    ),
}

RIGHT = {
    "views one by one": [
        pair(
            "y = torch.cat([frame(view[None], within) for view in x])",
            f"both = torch.cat([y, {GLOBAL.format('y')}], -1)",
        )
    ],
    "scenes one by one": [
        pair(
            "y = frame(x, within)",
            "z = [joint(scene.flatten(0, 1)[None], across)[0] for scene in y.unflatten(0, (B, S))]",
            "both = torch.cat([y, torch.stack(z).reshape(x.shape)], -1)",
        )
    ],
    "axes unflattened": [
        pair(
            "y = frame(x, within).unflatten(0, (B, S))",
            "z = joint(y.flatten(1, 2), across).unflatten(1, (S, -1))",
            "both = torch.cat([y, z], -1).flatten(0, 1)",
        )
    ],
    "recomputed": [
        ("my_pair(x", "torch.utils.checkpoint.checkpoint(my_pair, x"),
        ("positions=across))", "positions=across), use_reentrant=False)"),
    ],
    "slots by an index": [
        (CAMERA, "self.camera_token[0, [0] + [1] * (S - 1)].repeat(B, 1, 1)"),
        (REGISTERS, "self.register_tokens[0, [0] + [1] * (S - 1)].repeat(B, 1, 1)"),
    ],
    "slots by a condition": [
        (CAMERA, "torch.where(torch.arange(B * S)[:, None, None] % S == 0, *self.camera_token[0].split(1))")
    ],
    "one affine map": [
        ("(images.flatten(0, 1) - mean) / std", "images.flatten(0, 1) * (1 / std) - mean / std")
    ],
    "a buffer": [
        ("pairs =", "self.register_buffer('m', torch.tensor([0.485, 0.456, 0.406]), False)\n        pairs ="),
        ("- mean)", "- self.m.view(3, 1, 1))"),
    ],
    "float64": [("(B, S), (H", "images = self.double() and images.double()\n        (B, S), (H")],
    "a list": [(ENDS, "return [both[:, :, 0], kept]")],
    "an ordered dictionary": [("kept = {}", "kept = __import__('collections').OrderedDict()")],
    "joined in two steps": [("[camera, registers, patches]", "[torch.cat([camera, registers], 1), patches]")],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_class_is_refused_with_its_cause(name):
    *edits, words = WRONG[name]
    outcome = judged(*edits)
    assert outcome.state == "wrong" and words in outcome.message, outcome


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_class_of_another_kind_passes(name):
    assert judged(*RIGHT[name]).passed, judged(*RIGHT[name])
