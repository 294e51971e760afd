"""Are the figures of single scenes in a report those that this code and these weights give?"""

import pytest

from vggt_lite.evaluation import Report

# Shares of few pairs, points or patches: rounding can carry one of them over a threshold
COUNTED = ("auc_", "matching_", "point_f_score", "depth_f_score", "depth_delta")
ONE_OF_THEM = 10.0  # per cent; the coarsest is a single pair's share of AUC@3, 100 / (6 · 3)
# Per cent, of one scene and of the mean: so far tracks move with another batch size
ONE_TRACK, ALL_TRACKS = 2.0, 0.5


def check_scenes(published: Report, found: list[dict[str, float]], who: str = "model") -> None:
    """Compare each figure that a report holds of its first scenes with what was found now.

    Stored are five digits. One counted figure of a hundred may differ, by the one that flipped. Tracks, which
    hang on thresholds, may differ by about one point in each scene.
    """
    assert len(found) <= len(published.scenes) and found
    flipped = entries = 0
    off: dict[str, float] = {}  # of tracks, summed over scenes
    for stored, now in zip(published.scenes, found, strict=False):
        assert stored[who] and stored[who].keys() <= now.keys(), stored["name"]
        for key, value in stored[who].items():
            near = now[key] == pytest.approx(value, rel=1e-4, abs=1e-5)
            if key.startswith("track_"):
                near = abs(now[key] - value) <= ONE_TRACK
                off[key] = off.get(key, 0.0) + now[key] - value
            elif key.startswith(COUNTED):
                entries, flipped = entries + 1, flipped + (not near)
                near = abs(now[key] - value) <= ONE_OF_THEM
            assert near, f"{stored['name']}, {who}, {key}: published {value}, now {now[key]}"
    assert flipped <= max(entries // 100, 1), f"{flipped} of {entries} counted figures differ"
    assert all(abs(total) / len(found) <= ALL_TRACKS for total in off.values()), off
