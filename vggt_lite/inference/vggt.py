"""The `VGGT` that users hold: the network, and what one does with it in one line.

model = VGGT.from_pretrained("tiny")        # trained and bundled
scene = model.reconstruct("photographs/")   # a Reconstruction
"""

from pathlib import Path

from vggt_lite import model
from vggt_lite.inference.pipeline import reconstruct
from vggt_lite.inference.reconstruction import Reconstruction
from vggt_lite.pretrained.loading import load_pretrained


class VGGT(model.VGGT):
    """The network of `vggt_lite.model.VGGT`, with trained weights and photographs.

    Args:
        config: `NANO`, `TINY`, `VGGT_1B`, or your own `ModelConfig`. Weights are random, drawn from
            torch's global generator.
        block: Builds every frame and global block, as block(dim, num_heads, layer_scale=…, qk_norm=True).
    """

    @classmethod
    def from_pretrained(cls, name: str | Path, **options) -> "VGGT":
        """A trained model: "tiny" or "nano" (bundled), a .safetensors file, a folder, or a hub repository.

        `heads=("camera", "depth")` reads only these, `dtype=torch.bfloat16` stores the aggregator's matrices
        in half the memory. See `vggt_lite.pretrained.load_pretrained` for all options and errors.

        A class derived from this one is built as `cls(config)`. What it adds to the network and the file
        lacks keeps its fresh random values; a warning names it.
        """
        return load_pretrained(name, cls=cls, **options)

    def reconstruct(self, source, **options) -> Reconstruction:
        """Photographs (paths, a folder, PIL images, arrays) → `Reconstruction` in original pixels.

        See `vggt_lite.inference.reconstruct` for options and errors.
        """
        return reconstruct(self, source, **options)
