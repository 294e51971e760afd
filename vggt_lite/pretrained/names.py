"""Official parameter names ↔ ours: a pure renaming, no number changes, nothing is added or lost.

Our names say what a part does (`pyramid.fusions.0.unit1`); the release's are historical
(`scratch.refinenet1.resConfUnit1`, `virual_tracks`, `poseLN_modulation.1`).
"""

import re

Rule = tuple[str, str, str, str]  # pattern in ours → official text; pattern in official → our text


def swap(ours: str, official: str) -> Rule:
    """A rule for fixed pieces of text."""
    return re.escape(ours), official, re.escape(official), ours


_DENSE = r"^(depth|point)_head\."
_CROSS_OURS = r"(update\.(?:virtual_from_points|points_from_virtual)\.\d+)\.attn\."
_CROSS_OFFICIAL = r"(update\.(?:virtual_from_points|points_from_virtual)\.\d+)\.cross_attn\."

# `official_name` applies them from top to bottom, `our_name` from bottom to top.
RULES: list[Rule] = [
    swap("aggregator.register_tokens", "aggregator.register_token"),
    swap("patch_embed.position_table", "patch_embed.pos_embed"),
    swap("patch_embed.projection.", "patch_embed.patch_embed.proj."),
    swap("camera_head.empty_pose", "camera_head.empty_pose_tokens"),
    swap("camera_head.modulation.", "camera_head.poseLN_modulation.1."),
    # dense heads: the release counts from one, and ours keep the pyramid in a module of its own
    *(swap(f"pyramid.fusions.{k}.out.", f"pyramid.scratch.refinenet{k + 1}.out_conv.") for k in range(4)),
    *(swap(f"pyramid.fusions.{k}.unit", f"pyramid.scratch.refinenet{k + 1}.resConfUnit") for k in range(4)),
    *(swap(f"pyramid.to_fused.{k}.", f"pyramid.scratch.layer{k + 1}_rn.") for k in range(4)),
    swap("pyramid.output_conv.", "pyramid.scratch.output_conv1."),
    swap("pyramid.resizes.", "pyramid.resize_layers."),
    swap("track_head.pyramid.", "track_head.feature_extractor."),
    (rf"{_DENSE}pyramid\.", r"\1_head.", rf"{_DENSE}(?!output\.)", r"\1_head.pyramid."),
    swap("_head.output.", "_head.scratch.output_conv2."),
    # tracker
    swap("tracker.query_view_token", "tracker.query_ref_token"),
    swap("tracker.feature_map_norm.", "tracker.fmap_norm."),
    swap("tracker.feature_norm.", "tracker.ffeat_norm."),
    swap("tracker.feature_update.", "tracker.ffeat_updater."),
    swap("tracker.visibility.", "tracker.vis_predictor.0."),
    swap("tracker.confidence.", "tracker.conf_predictor.0."),
    (_CROSS_OURS, r"\1.cross_attn.", _CROSS_OFFICIAL, r"\1.attn."),
    (r"(update\..*attn)\.qkv\.(\w+)", r"\1.in_proj_\2", r"(update\..*attn)\.in_proj_(\w+)", r"\1.qkv.\2"),
    (r"(update\..*attn)\.proj\.", r"\1.out_proj.", r"(update\..*attn)\.out_proj\.", r"\1.proj."),
    swap("update.virtual_tracks", "update.virual_tracks"),
    swap("update.virtual_from_points.", "update.space_virtual2point_blocks."),
    swap("update.points_from_virtual.", "update.space_point2virtual_blocks."),
    swap("update.virtual_blocks.", "update.space_virtual_blocks."),
    swap("tracker.update.", "tracker.updateformer."),
]


def official_name(name: str) -> str:
    """The release's name of one of our parameters."""
    for pattern, text, _, _ in RULES:
        name = re.sub(pattern, text, name)
    return name


def our_name(name: str) -> str:
    """Our name of one of the release's parameters."""
    for _, _, pattern, text in reversed(RULES):
        name = re.sub(pattern, text, name)
    return name
