"""Right answers of an unusual kind pass: loops, einsum, complex numbers, float64, online softmax, tuples."""

import pytest
import torch
import torch.nn.functional as F

from vggt_lite.course import checks
from vggt_lite.course.checks import assembled
from vggt_lite.model import layers


def weights_in_float64(q, k):
    return (
        torch.einsum("...ld,...md->...lm", q.double(), k.double()).div(q.shape[-1] ** 0.5).softmax(-1).float()
    )


def weights_by_loops(q, k):
    rows = [
        torch.stack([(q[..., i, :] * k[..., j, :]).sum(-1) for j in range(k.shape[-2])], -1)
        for i in range(q.shape[-2])
    ]
    return torch.softmax(torch.stack(rows, -2) / q.shape[-1] ** 0.5, dim=-1)


def heads_by_loops(qkv, num_heads, prepare=None):
    d, read = qkv.shape[-1] // (3 * num_heads), []
    for n in range(num_heads):
        q, k, v = (part[..., n * d : (n + 1) * d] for part in qkv.chunk(3, dim=-1))
        if prepare:
            q, k = prepare(q, k)
        read.append(weights_by_loops(q, k) @ v)
    return torch.cat(read, dim=-1)


def turned_by_complex_numbers(x, positions, base):
    quarter = x.shape[-1] // 4
    angle = positions[..., None] * base ** (-torch.arange(quarter) / quarter)  # (L, 2, d / 4)
    a, b = x.unflatten(-1, (2, 2, quarter)).unbind(-2)
    turned = torch.complex(a, b) * torch.polar(torch.ones_like(angle), angle)
    return torch.stack([turned.real, turned.imag], dim=-2).flatten(-3)


def online_softmax(q, k, v, most):
    """Keys in pieces too, with a running maximum and a running sum."""
    read = []
    for some in q.split(most, dim=-2):
        largest, total, mixed = torch.full_like(some[..., :1], -torch.inf), 0.0, 0.0
        for keys, values in zip(k.split(2, dim=-2), v.split(2, dim=-2), strict=True):
            scores = some @ keys.mT / q.shape[-1] ** 0.5
            new = torch.maximum(largest, scores.amax(-1, keepdim=True))
            shrink, shares = (largest - new).exp(), (scores - new).exp()
            total, largest = total * shrink + shares.sum(-1, keepdim=True), new
            mixed = mixed * shrink + shares @ values
        read.append(mixed / total)
    return torch.cat(read, dim=-2)


def fused_in_pieces(q, k, v, most):
    return torch.cat([F.scaled_dot_product_attention(some, k, v) for some in q.split(most, dim=-2)], dim=-2)


def modulated_by_hand(tokens, numbers):
    shift, scale, gate = numbers.double().split(tokens.shape[-1], dim=-1)
    variance, mean = torch.var_mean(tokens.double(), -1, unbiased=False, keepdim=True)
    normed = (tokens - mean) * torch.rsqrt(variance + 1e-6)
    return (tokens + gate * (normed + normed * scale + shift)).float()


def refined_recursively(correction, tokens, empty, iterations):
    """A tuple of rounds, each from the one before it."""

    def rounds(raw, left):
        here = torch.cat([raw[..., :7], raw[..., 7:].clamp(min=0)], dim=-1)
        if left == 1:
            return (here,)
        told = raw.detach()
        return (here, *rounds(told + correction(tokens, told), left - 1))

    return rounds(correction(tokens, empty.repeat(*tokens.shape[:2], 1)), iterations)


def rounds_by_number(correction, tokens, empty, iterations):
    """The rounds in a dictionary: no list."""
    return dict(enumerate(refined_recursively(correction, tokens, empty, iterations)))


def pooled_in_a_tuple(maps, levels):
    if levels == 1:
        return (maps,)
    height, width = (side // 2 * 2 for side in maps.shape[-2:])
    whole = maps[..., :height, :width]
    smaller = whole.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).mean((-3, -1))
    return (maps, *pooled_in_a_tuple(smaller, levels - 1))


def heads_of_each_scene(qkv, num_heads, prepare=None):
    """One scene of the batch at a time: `prepare` gets (n, L, d)."""
    read = []
    for scene in qkv:
        q, k, v = scene.unflatten(-1, (3, num_heads, -1)).permute(1, 2, 0, 3)
        if prepare:
            q, k = prepare(q, k)
        read.append(F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1))
    return torch.stack(read)


def turned_by_matrices(x, positions, base):
    quarter = x.shape[-1] // 4
    angle = positions[..., None].double() * base ** (-torch.arange(quarter).double() / quarter)
    rows = torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)
    pairs = x.double().unflatten(-1, (2, 2, quarter))
    return torch.einsum("laoij,...lajo->...laio", torch.stack(rows, -2), pairs).flatten(-3).float()


def weight_by_autograd(residuals, scale):
    loss = torch.func.grad(lambda square: scale**2 * torch.log1p(square / scale**2))
    return torch.func.vmap(loss)(residuals.square().sum(-1).flatten()).view(residuals.shape[:-1])


def composed_as_matrices(outer, inner):
    rows = [torch.cat([s * R, t[:, None]], dim=-1) for s, R, t in (outer, inner)]
    product = rows[0] @ torch.cat([rows[1], torch.tensor([[0.0, 0, 0, 1]])])
    scale = torch.linalg.det(product[:, :3]) ** (1 / 3)
    return [scale.item(), product[:, :3] / scale, product[:, 3]]


ANSWERS = {
    "adjustment.weight": [weight_by_autograd],
    "frames.composed": [composed_as_matrices],
    "attention.attention_weights": [weights_in_float64, weights_by_loops],
    "attention.multi_head": [heads_by_loops, heads_of_each_scene],
    "attention.pieces": [online_softmax, fused_in_pieces],
    "blocks.rotate": [turned_by_complex_numbers, turned_by_matrices],
    "camera_head.modulation": [modulated_by_hand],
    "camera_head.refinement": [refined_recursively],
    "tokens.patchify": [lambda images, p: F.unfold(images, p, stride=p).mT],
    "tracking.pyramid": [pooled_in_a_tuple],
}


@pytest.mark.parametrize(
    ("key", "answer"), [(k, answer) for k, answers in ANSWERS.items() for answer in answers]
)
def test_a_right_answer_of_another_kind_passes(key, answer):
    assert checks.every_check()[key](answer).passed, checks.every_check()[key](answer)


def test_rounds_in_a_dictionary_are_no_list():
    outcome = checks.camera_head.refinement(rounds_by_number)
    assert "your function returns a dict. Return a list" in outcome.message


def test_whole_attention_at_once_is_refused_where_rows_are_counted():
    outcome = checks.attention.pieces(lambda q, k, v, most: F.scaled_dot_product_attention(q, k, v))
    assert "you held all rows of attention weights at once" in outcome.message


class LoopBlock(assembled.PositionedBlock):
    """Heads one by one, norms written out, the perceptron in float64."""

    def forward(self, x, positions=None):
        y, n = normed(x, self.norm1), self.attn.num_heads
        d, read = x.shape[-1] // n, []
        for head in range(n):
            q, k, v = (z[..., head * d : (head + 1) * d] for z in self.attn.qkv(y).chunk(3, dim=-1))
            q, k = self.attn.q_norm(q), self.attn.k_norm(k)
            if positions is not None:
                q, k = (turned_by_complex_numbers(z, positions, 100.0) for z in (q, k))
            read.append(layers.attention_weights(q, k) @ v)
        x = x + self.ls1.gamma * self.attn.proj(torch.cat(read, dim=-1))
        y = F.linear(normed(x, self.norm2), self.mlp.fc1.weight, self.mlp.fc1.bias).double()
        return x + self.ls2.gamma * self.mlp.fc2((y * (1 + torch.erf(y / 2**0.5)) / 2).float())


def normed(x, norm):
    variance, mean = torch.var_mean(x, -1, unbiased=False, keepdim=True)
    return (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def test_a_class_of_another_kind_passes():
    assert assembled.block(LoopBlock).passed, assembled.block(LoopBlock)
