"""Departures from VGGT, each behind one switch of `ModelConfig`: change one thing, train, compare.

Off, which is the default, is the network of the paper to the bit. None of them changes the name or shape of
a parameter, so any can be switched on over trained weights:

    VGGT.from_pretrained("nano", config=NANO.with_(merge_tokens=0.5))

Merging is meant for that; the others ask a network for what it never learned, and want training.
"""

from dataclasses import dataclass

ATTENTION = ("alternating", "global", "cross")
REFERENCES = ("first", "none")


@dataclass(frozen=True, kw_only=True)
class Switches:
    """The fields that `ModelConfig` inherits. The code behind them: `vggt_lite/model/exchange.py`,
    `merging.py` and `equivariance.py`."""

    # What a pair of blocks attends to (VGGT, table 5). "alternating": one view, then all. "global": all
    # views in both blocks. "cross": in both, each view reads the other views and not itself.
    attention: str = "alternating"
    # Pairs of blocks whose global block sees special tokens only (as VGGT-Ω): the camera and register
    # tokens of all views talk, patches pass by unchanged.
    register_attention: tuple[int, ...] = ()
    global_positions: bool = True  # False: no rotary positions where views meet (as VGGT-Ω)
    # "none": no view is special (as π³). Each view's points are in its own camera's frame, and the whole
    # answer is moved into the first view's frame afterwards.
    reference: str = "first"
    # Share of the patch tokens, of all views but the first, merged into similar ones before global
    # attention and copied back after it (as FastVGGT): 0 is off, 0.5 merges every second patch.
    merge_tokens: float = 0.0

    def check_switches(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: an unknown choice, a number out of range, or switches that exclude each other.
        """
        for name, choices in (("attention", ATTENTION), ("reference", REFERENCES)):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name}={value!r}: choose among {', '.join(map(repr, choices))}.")
        pairs = self.register_attention
        if len(set(pairs)) < len(pairs) or not all(0 <= pair < self.depth for pair in pairs):
            raise ValueError(
                f"register_attention={pairs} must name different pairs of blocks, 0 … {self.depth - 1} "
                f"(depth={self.depth})."
            )
        if not 0 <= self.merge_tokens < 1:
            raise ValueError(f"merge_tokens={self.merge_tokens} is a share: give 0 (off) up to below 1.")
        if self.attention != "alternating" and (pairs or self.merge_tokens):
            raise ValueError(
                f"attention={self.attention!r} has no global blocks beside frame blocks: register_attention "
                'and merge_tokens need attention="alternating".'
            )
        if self.reference == "none" and self.merge_tokens:
            raise ValueError(
                'merge_tokens keeps all tokens of the first view, which reference="none" forbids: switch on '
                "one of the two."
            )
        if self.reference == "none" and "point" in self.heads and "camera" not in self.heads:
            raise ValueError(
                'reference="none" predicts points in each camera\'s own frame; only cameras bring them '
                'together: add "camera" to heads, or leave out "point".'
            )
