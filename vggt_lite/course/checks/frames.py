"""Scenes in other units, worlds and conventions: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draw, draws
from vggt_lite.geometry import convert_cameras


def turn(seed: int = 0):
    """A random rotation (3, 3)."""
    q, r = torch.linalg.qr(draw(3, 3, seed=seed).double())
    q = q * r.diagonal().sign()
    return (q * torch.det(q).sign()).float()


def cameras(count: int, seed: int = 0):
    """Random poses (count, 3, 4)."""
    shifts = draw(count, 3, 1, seed=seed)
    return torch.cat([torch.stack([turn(seed + k) for k in range(count)]), shifts], dim=-1)


def in_another_unit(cam_from_world, depth, factor: float):
    """Cameras (S, 3, 4) and depth (S, h, w) of a scene in which every length is `factor` times as large."""
    R, t = cam_from_world[:, :, :3], cam_from_world[:, :, 3:]
    return torch.cat([R, factor * t], dim=-1), factor * depth


_UNIT = torch.tensor([[[1.0, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, -4]]])

scaled = Check(
    name="a scene in metres",
    reference=in_another_unit,
    cases=lambda: {
        "one camera, half as large": (_UNIT, torch.tensor([[[2.0, 3.0]]]), 0.5),
        "three cameras": (cameras(3), 1 + draw(3, 4, 5).abs(), 1.7),
        "the unit is right already": (cameras(2, 5), 1 + draw(2, 2, 2, seed=1).abs(), 1.0),
    },
    mutants={
        "you multiplied the rotation too: a camera stays rigid": "cat([R, → cat([factor * R,",
        "depth is a length, and needs the factor as well": "dim=-1), factor * depth → dim=-1), depth",
        "only depth has the new unit; the cameras must move apart as well": "factor * t] → t]",
        "you divided: the factor multiplies": "factor * t], dim=-1), factor * depth → t / factor], dim=-1), "
            "depth / factor",
        "the factor is there twice": "factor * t], dim=-1), factor * depth → factor**2 * t], dim=-1), "
            "factor**2 * depth",
        "you multiplied R and not t: t is the length": "cat([R, factor * t] → cat([factor * R, t]",
        "you multiplied the last row; t is the last column":
            lambda T, d, f: (T * torch.tensor([1.0, 1.0, f])[:, None], f * d),
        "you multiplied z of t only: all three are lengths":
            "factor * t] → t * torch.tensor([1.0, 1.0, factor])[:, None]]",
        "only the first camera has the new unit": "factor * t] → torch.cat([factor * t[:1], t[1:]])]",
        "t was divided: the factor multiplies": "factor * t] → t / factor]",
        "the depth was divided: the factor multiplies": "dim=-1), factor * depth → dim=-1), depth / factor",
        "the sign of t has changed: t = −R c": "factor * t] → -factor * t]",
        "you added the factor": "factor * t], dim=-1), factor * depth → factor + t], dim=-1), factor + depth",
    },
    hint="Which of R, t and depth are lengths?",
)  # fmt: skip


def both(outer, inner):
    """Scale, rotation and translation of what `inner` does first and `outer` then, each (s, R, t)."""
    (s2, R2, t2), (s1, R1, t1) = outer, inner
    return s2 * s1, R2 @ R1, s2 * R2 @ t1 + t2


def similarity(seed: int):
    """A random (s, R, t)."""
    size, shift = draws((), (3,), seed=seed)
    return size.exp(), turn(seed + 50), 2 * shift


def _by_hand(scale: float, shift: list):
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    return torch.tensor(scale), quarter, torch.tensor(shift)


composed = Check(
    name="two similarities, one after the other",
    reference=both,
    cases=lambda: {
        "quarter turns": (_by_hand(2.0, [1.0, 0, 0]), _by_hand(3.0, [0.0, 1, 0])),
        "random": (similarity(0), similarity(1)),
        "others": (similarity(2), similarity(3)),
        "nothing first": (similarity(4), (torch.tensor(1.0), torch.eye(3), torch.zeros(3))),
    },
    mutants={
        "the inner shift is measured in the inner unit: the outer scale multiplies it":
            "s2 * R2 @ t1 → R2 @ t1",
        "the inner shift must be turned by the outer rotation": "s2 * R2 @ t1 → s2 * t1",
        "the outer scale multiplies the inner shift, not the inner one": "s2 * R2 @ t1 → s1 * R2 @ t1",
        "only the outer scale multiplies the inner shift": "s2 * R2 @ t1 → s2 * s1 * R2 @ t1",
        "only the outer rotation turns the inner shift: R₁ has acted before":
            "s2 * R2 @ t1 → s2 * R2 @ R1 @ t1",
        "the inner shift is turned by R₂; `t @ R` turns by Rᵀ": "s2 * R2 @ t1 → s2 * (t1 @ R2)",
        "the outer shift is added at the end: it is neither scaled nor turned": "@ t1 + t2 → @ (t1 + t2)",
        "the shifts are in the other order: `inner` acts first": "s2 * R2 @ t1 + t2 → s1 * R1 @ t2 + t1",
        "the outer shift has the wrong sign": "@ t1 + t2 → @ t1 - t2",
        "`*` multiplies number by number: matrices are multiplied by `@`": "R2 @ R1, → R2 * R1,",
        "the scale is in the rotation, too: R stays a rotation": "R2 @ R1, → s2 * s1 * R2 @ R1,",
        "the rotation is transposed": "R2 @ R1, → (R2 @ R1).mT,",
        "the inner scale is missing": "s2 * s1, → s2 + 0,",
        "it is the other order: `inner` acts first":
            lambda outer, inner: both(inner, outer),
        "rotations are composed from right to left: R₂ R₁": "R2 @ R1, → R1 @ R2,",
        "scales multiply": "s2 * s1, → s2 + s1,",
        "you multiplied the outer shift by the inner scale: it is in the outer unit already":
            "+ t2 → + s1 * t2",
        "the outer shift is missing": "@ t1 + t2 → @ t1",
        "you only added the shifts": "s2 * R2 @ t1 + t2 → t1 + t2",
    },
    hint="Put a point in: s₂ R₂ (s₁ R₁ p + t₁) + t₂. Multiply out.",
)  # fmt: skip


def opencv_from_opengl(world_from_cam):
    """cam_from_world (S, 3, 4) with OpenCV's axes of cameras (S, 4, 4) as nerfstudio has them."""
    R, c = world_from_cam[:, :3, :3], world_from_cam[:, :3, 3:]
    R = R * torch.tensor([1.0, -1.0, -1.0])  # columns are the camera's axes in the world
    return torch.cat([R.mT, -R.mT @ c], dim=-1)


def _four_rows(poses):
    last = torch.tensor([0.0, 0, 0, 1]).expand(len(poses), 1, 4)
    return torch.cat([poses, last], dim=1)


from_opengl = Check(
    name="from nerfstudio to OpenCV",
    reference=opencv_from_opengl,
    without=(convert_cameras,),
    cases=lambda: {
        "at (1, 2, 3), not turned":
            (torch.tensor([[[1.0, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]]),),
        "four cameras": (_four_rows(cameras(4)),),
        "others": (_four_rows(cameras(2, 9)),),
    },
    mutants={
        "the axes are OpenGL's still: y and z of the camera point the other way": "-1.0, -1.0]) → 1.0, 1.0])",
        "it still leads from the camera to the world: invert it":
            lambda m: torch.cat([m[:, :3, :3] * torch.tensor([1.0, -1, -1]), m[:, :3, 3:]], dim=-1),
        "you flipped rows of world_from_cam, or columns of its inverse: axes of the world, not of the camera":
            lambda m: torch.linalg.inv(m)[:, :3] * torch.tensor([1.0, -1, -1, 1]),
        "t is not the camera's position, but −R c": "-R.mT @ c → c",
        "the sign of the translation is wrong: −R c": "-R.mT @ c → R.mT @ c",
        "you flipped y only, which gives a mirror image": "-1.0, -1.0]) → -1.0, 1.0])",
        "you transposed the rotation and kept it for the translation": "-R.mT @ c → -R @ c",
        "you flipped z only, which gives a mirror image": "-1.0, -1.0]) → 1.0, -1.0])",
        "you flipped all three axes, which gives a mirror image: x stays": "[1.0, -1.0, → [-1.0, -1.0,",
        "you flipped rows of R, the axes of the world: columns are the axes of the camera":
            "-1.0, -1.0]) → -1.0, -1.0])[:, None]",
        "you flipped rows and columns: only the axes of the camera have other names":
            lambda m: opencv_from_opengl(m * torch.tensor([1.0, -1, -1, 1])[:, None]),
        "you exchanged y and z: both point the other way, and keep their names":
            "R * torch.tensor([1.0, -1.0, -1.0]) → R[..., [0, 2, 1]]",
        "the rotation is not transposed": "cat([R.mT, → cat([R,",
        "the translation is −Rᵀ c: you left out the rotation": "-R.mT @ c → -c",
        "the translation was made with the rotation from before the flip":
            "-R.mT @ c → -world_from_cam[:, :3, :3].mT @ c",
        "a transpose is the inverse of a rotation, not of [R | c]":
            lambda m: (m * torch.tensor([1.0, -1, -1, 1])).mT[:, :3],
    },
    hint="Change the sign of two columns, then take the inverse [Rᵀ | −Rᵀ c]. Three rows are left.",
)  # fmt: skip
