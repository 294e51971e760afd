"""Losses with iterations, of cameras and tracks: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draws


def camera_distance(said, true):
    """Camera loss of pose encodings (B, S, 9) of every iteration: weighted mean, the last one weighing 1."""
    total = 0.0
    for i, guess in enumerate(said):
        error = (guess - true).abs()
        parts = error[..., 0:3].mean() + error[..., 3:7].mean() + 0.5 * error[..., 7:9].mean()
        total = total + 0.6 ** (len(said) - 1 - i) * parts
    return total / len(said)


def _camera_case(iterations: int, views: int, seed: int):
    *said, true = draws(*[(1, views, 9)] * (iterations + 1), seed=seed)
    return list(said), true


TRUE_CAMERA = torch.tensor([[[1.0, 0, 0, 0, 0, 0, 1, 1, 1]]])
FIRST_GUESS = TRUE_CAMERA + torch.tensor([0.3, 0, 0, 0.1, 0, 0, -0.1, 0.2, 0])
SECOND_GUESS = TRUE_CAMERA + torch.tensor([-0.06, 0, 0, 0.04, 0, 0, 0, 0.04, 0])

camera = Check(
    name="camera loss",
    reference=camera_distance,
    trained=True,
    cases=lambda: {
        "one camera, two iterations": ([FIRST_GUESS, SECOND_GUESS], TRUE_CAMERA),
        "three views, four iterations": _camera_case(4, 3, seed=0),
        "a single iteration": _camera_case(1, 2, seed=1),
    },
    mutants={
        "the first iteration weighs most in yours; the last one must, with 0.6⁰ = 1": "len(said) - 1 - i → i",
        "you forgot to divide by the number of iterations": "total / len(said) → total",
        "you divided by the sum of the weights; the release divides by the number of iterations":
            "total / len(said) → total / sum(0.6**age for age in range(len(said)))",
        "your last iteration weighs 0.6; count from 0, so that it weighs 0.6⁰ = 1": "- 1 - i → - i",
        "all iterations weigh alike in yours": "0.6 ** → 1.0 **",
        "only the last iteration counts in yours": "return total / len(said) → return parts",
        "you averaged all nine numbers at once: each part has its own mean":
            "error[..., 0:3].mean() + error[..., 3:7].mean() + 0.5 * error[..., 7:9].mean() → error.mean()",
        "your field of view weighs 1; it weighs 0.5": "0.5 * →",
        "you summed the entries of a part; this form takes their mean": "mean() → sum(-1).mean()",
        "you took the length of each part's error (ℓ2); this form takes the mean of |error|":
            "mean() → norm(dim=-1).mean()",
        "your quaternion has three numbers; it has four, 3:7": "3:7 → 3:6",
        "you squared the errors; this form takes |error|": "abs() → square()",
        "you forgot |…|: errors of different sign cancel": ".abs() →",
    },
    hint="One iteration first: three means, weighed 1, 1, 0.5. Then the iterations: 0.6^(n−1−i), over n.",
)  # fmt: skip


def track_distance(said, true, visible):
    """Coordinate term of the track loss: a list of (B, S, N, 2), (B, S, N, 2), (B, S, N) → a scalar."""
    counts = visible & visible[:, :1]
    total = 0.0
    for i, guess in enumerate(said):
        error = (guess - true)[counts].abs().mean(-1)
        total = total + 0.8 ** (len(said) - 1 - i) * error.mean()
    return total / len(said)


def _track_case(iterations, *sizes, seed, hidden_value=None):
    *said, true, chance = draws(*[(*sizes, 2)] * (iterations + 1), sizes, seed=seed)
    visible = chance > -0.4
    if hidden_value is not None:
        true = torch.where(visible[..., None], true, hidden_value)
    return list(said), true, visible


TWO_POINTS = torch.tensor([[[10.0, 10], [20, 20]], [[12, 10], [24, 20]]])[None]  # (1, S, N, 2): (x, y)
tracks = Check(
    name="track loss",
    reference=track_distance,
    trained=True,
    cases=lambda: {
        "two points, two iterations":
            ([TWO_POINTS + 3.0, TWO_POINTS + torch.tensor([1.0, 0])], TWO_POINTS, TWO_POINTS[..., 0] < 24),
        "four iterations": _track_case(4, 1, 3, 8, seed=0),
        "two scenes, hidden points have no place": _track_case(2, 2, 4, 9, seed=1, hidden_value=torch.nan),
    },
    mutants={
        "the first iteration weighs most in yours; the last one must, with 0.8⁰ = 1": "len(said) - 1 - i → i",
        "you forgot to divide by the number of iterations": "total / len(said) → total",
        "only the last iteration counts in yours; the loss stands on every one":
            "total / len(said) → error.mean()",
        "all iterations weigh alike in yours": "0.8 ** → 1.0 **",
        "hidden positions count in yours; only what is seen can be learned":
            "visible & visible[:, :1] → visible[:, :1].expand_as(visible)",
        "you averaged over all positions, with 0 where one does not count; divide by those that count":
            "error.mean() → error.sum() / visible.numel()",
        "you asked whether the point is visible in the first *scene*: views are axis 1":
            "visible[:, :1] → visible[:1]",
        "points count in yours that are hidden in the first view, where they are asked for":
            "visible & visible[:, :1] → visible",
        "you took the Euclidean distance (the paper's); this form is the mean of |x error| and |y error|":
            "abs().mean(-1) → norm(dim=-1)",
        "you summed |x error| and |y error|; this form takes their mean": "mean(-1) → sum(-1)",
    },
    hint="Which entries count: visible there, and in view 0. Then a mean for each iteration, then weights.",
)  # fmt: skip
