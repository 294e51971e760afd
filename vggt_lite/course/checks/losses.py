"""Losses with iterations, of cameras and tracks: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.losses import track_loss
from vggt_lite.losses.camera import PART_WEIGHTS, PARTS, STAGE_DECAY
from vggt_lite.losses.track import ITERATION_DECAY


def one_camera_error(said, true):
    """Nine numbers against nine: the mean |error| of each part, weighed."""
    parts = {name: (said - true)[..., slots].abs().mean() for name, slots in PARTS.items()}
    return sum(PART_WEIGHTS[name] * part for name, part in parts.items())


def camera_distance(pose_encodings, true, decay: float = STAGE_DECAY, error=one_camera_error):
    """Weighed mean over the iterations, the last one weighing 1."""
    ages = range(len(pose_encodings) - 1, -1, -1)
    errors = [decay**age * error(said, true) for age, said in zip(ages, pose_encodings, strict=True)]
    return sum(errors) / len(pose_encodings)


def _all_nine_alike(said, true):
    return (said - true).abs().mean()


def _fov_like_the_others(said, true):
    return sum((said - true)[..., slots].abs().mean() for slots in PARTS.values())


def _part_sums(said, true):
    errors = {name: (said - true)[..., slots].abs().sum(-1).mean() for name, slots in PARTS.items()}
    return sum(PART_WEIGHTS[name] * part for name, part in errors.items())


def _squared(said, true):
    errors = {name: (said - true)[..., slots].square().mean() for name, slots in PARTS.items()}
    return sum(PART_WEIGHTS[name] * part for name, part in errors.items())


def _lengths(said, true):
    errors = {name: (said - true)[..., slots].norm(dim=-1).mean() for name, slots in PARTS.items()}
    return sum(PART_WEIGHTS[name] * part for name, part in errors.items())


def _q_without_w(said, true):
    parts = [(said - true)[..., slots].abs().mean() for slots in (slice(0, 3), slice(3, 6), slice(7, 9))]
    return parts[0] + parts[1] + 0.5 * parts[2]


def _signed(said, true):
    errors = {name: (said - true)[..., slots].mean() for name, slots in PARTS.items()}
    return sum(PART_WEIGHTS[name] * part for name, part in errors.items())


def _camera_by(error):
    return lambda said, true: camera_distance(said, true, error=error)


def _camera_case(iterations: int, views: int, seed: int):
    *said, true = draws(*[(1, views, 9)] * (iterations + 1), seed=seed)
    return list(said), true


TRUE_CAMERA = torch.tensor([[[1.0, 0, 0, 0, 0, 0, 1, 1, 1]]])
FIRST_GUESS = TRUE_CAMERA + torch.tensor([0.3, 0, 0, 0.1, 0, 0, -0.1, 0.2, 0])
SECOND_GUESS = TRUE_CAMERA + torch.tensor([-0.06, 0, 0, 0.04, 0, 0, 0, 0.04, 0])

camera = Check(
    name="camera loss",
    reference=camera_distance,
    cases=lambda: [
        ("one camera, two iterations", ([FIRST_GUESS, SECOND_GUESS], TRUE_CAMERA)),
        ("three views, four iterations", _camera_case(4, 3, seed=0)),
        ("a single iteration", _camera_case(1, 2, seed=1)),
    ],
    mutants={
        "the first iteration weighs most in yours; the last one must, with 0.6⁰ = 1": lambda said, true: (
            camera_distance(said[::-1], true)
        ),
        "you forgot to divide by the number of iterations": lambda said, true: (
            len(said) * camera_distance(said, true)
        ),
        "you divided by the sum of the weights; the release divides by the number of iterations": (
            lambda said, true: (
                camera_distance(said, true) * len(said) / sum(STAGE_DECAY**age for age in range(len(said)))
            )
        ),
        "your last iteration weighs 0.6; count from 0, so that it weighs 0.6⁰ = 1": lambda said, true: (
            STAGE_DECAY * camera_distance(said, true)
        ),
        "all iterations weigh alike in yours": lambda said, true: camera_distance(said, true, decay=1.0),
        "only the last iteration counts in yours": lambda said, true: one_camera_error(said[-1], true),
        "you averaged all nine numbers at once: each part has its own mean": _camera_by(_all_nine_alike),
        "your field of view weighs 1; it weighs 0.5": _camera_by(_fov_like_the_others),
        "you summed the entries of a part; this form takes their mean": _camera_by(_part_sums),
        "you took the length of each part's error (ℓ2); this form takes the mean of |error|": _camera_by(
            _lengths
        ),
        "your quaternion has three numbers; it has four, 3:7": _camera_by(_q_without_w),
        "you squared the errors; this form takes |error|": _camera_by(_squared),
        "you forgot |…|: errors of different sign cancel": _camera_by(_signed),
    },
    hint="One iteration first: three means, weighed 1, 1, 0.5. Then the iterations: 0.6^(n−1−i), over n.",
)


def track_distance(tracks_list, true, visible):
    """The coordinate term of the track loss, one scene: lists of (S, N, 2), (S, N, 2), (S, N)."""
    logits = torch.zeros_like(visible, dtype=torch.float)[None]
    scene = [x[None] for x in tracks_list], logits, logits, true[None], visible[None]
    return track_loss(*scene)["coordinates"]


def _track_mean(tracks_list, true, counts, distance=lambda e: e.abs().mean(-1), decay=ITERATION_DECAY):
    ages = range(len(tracks_list) - 1, -1, -1)
    means = [distance(x - true)[counts].mean() for x in tracks_list]
    return sum(decay**age * mean for age, mean in zip(ages, means, strict=True)) / len(tracks_list)


def _queried(visible):
    return visible & visible[:1]


def _track_case(iterations, views, points, seed, hidden_value=None):
    *said, true, chance = draws(*[(views, points, 2)] * (iterations + 1), (views, points), seed=seed)
    visible = chance > -0.4
    if hidden_value is not None:
        true = torch.where(visible[..., None], true, hidden_value)
    return list(said), true, visible


TWO_POINTS = torch.tensor([[[10.0, 10], [20, 20]], [[12, 10], [24, 20]]])  # views, points, (x, y)
tracks = Check(
    name="track loss",
    reference=track_distance,
    cases=lambda: [
        (
            "two points, two iterations",
            (
                [TWO_POINTS + 3.0, TWO_POINTS + torch.tensor([1.0, 0])],
                TWO_POINTS,
                torch.tensor([[True, True], [True, False]]),
            ),
        ),
        ("four iterations", _track_case(4, 3, 8, seed=0)),
        ("hidden points have no place", _track_case(2, 4, 9, seed=1, hidden_value=torch.nan)),
    ],
    mutants={
        "the first iteration weighs most in yours; the last one must, with 0.8⁰ = 1": (
            lambda said, true, visible: _track_mean(said[::-1], true, _queried(visible))
        ),
        "you forgot to divide by the number of iterations": lambda said, true, visible: (
            len(said) * _track_mean(said, true, _queried(visible))
        ),
        "only the last iteration counts in yours; the loss stands on every one": lambda said, true, visible: (
            _track_mean(said[-1:], true, _queried(visible))
        ),
        "all iterations weigh alike in yours": lambda said, true, visible: _track_mean(
            said, true, _queried(visible), decay=1.0
        ),
        "hidden positions count in yours; only what is seen can be learned": lambda said, true, visible: (
            _track_mean(said, true, visible[:1].expand_as(visible))
        ),
        "you averaged over all positions, with 0 where one does not count; divide by those that count": (
            lambda said, true, visible: (
                _track_mean(said, true, _queried(visible)) * _queried(visible).sum() / visible.numel()
            )
        ),
        "points count in yours that are hidden in the first view, where they are asked for": (
            lambda said, true, visible: _track_mean(said, true, visible)
        ),
        "you took the Euclidean distance (the paper's); this form is the mean of |x error| and |y error|": (
            lambda said, true, visible: _track_mean(said, true, _queried(visible), lambda e: e.norm(dim=-1))
        ),
        "you summed |x error| and |y error|; this form takes their mean": lambda said, true, visible: (
            2 * _track_mean(said, true, _queried(visible))
        ),
    },
    hint="Which entries count: visible there, and in view 0. Then a mean for each iteration, then weights.",
)
