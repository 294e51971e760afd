"""How many weights a network has, told by its configuration: building VGGT-1B to count them is slow."""

from vggt_lite.config import ModelConfig


def parameters(config: ModelConfig, heads: tuple[str, ...] | None = None) -> tuple[int, int]:
    """How many numbers a network holds: in the aggregator's matrices, which may be stored rounded, and else.

    Args:
        heads: those that were built; None takes `config.heads`.
    """
    c = config
    heads = c.heads if heads is None else heads
    registers, head = c.num_registers * c.dim, c.dim // c.num_heads
    matrices = _linear(3 * c.patch_size**2, c.dim) + 2 * c.depth * _block(c.dim)[0]
    others = 2 * (c.dim + registers) + 2 * c.depth * (_block(c.dim)[1] + 4 * head)
    if c.patch_embed == "vit":
        table = (1 + (c.image_size // c.patch_size) ** 2) * c.dim
        matrices += c.vit_depth * _block(c.dim)[0]
        others += c.vit_depth * _block(c.dim)[1] + table + registers + 4 * c.dim  # class, mask, last norm
    wide = 2 * c.dim
    if "camera" in heads:
        others += 4 * wide + 9 + _linear(9, wide) + _linear(wide, 3 * wide)
        others += c.camera_depth * sum(_block(wide))
        others += _linear(wide, wide // 2) + _linear(wide // 2, 9)
    for name, channels in (("depth", 2), ("point", 4)):
        if name in heads:
            others += _pyramid(c, c.dense_dim, c.dense_dim // 2)
            others += _linear(9 * c.dense_dim // 2, 32) + _linear(32, channels)
    if "track" in heads:
        others += _pyramid(c, c.track_fused, c.track_dim) + _tracker(c)
    return matrices, others


def _linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _block(dim: int) -> tuple[int, int]:
    """Matrices, and norms with layer scale, of a transformer block without QK-norm."""
    return 12 * dim**2 + 9 * dim, 6 * dim


def _pyramid(config: ModelConfig, fused: int, out: int) -> int:
    wide, dims = 2 * config.dim, config.dense_dims
    resizes = 16 * dims[0] ** 2 + 4 * dims[1] ** 2 + 9 * dims[3] ** 2 + dims[0] + dims[1] + dims[3]
    fusions = 14 * _linear(9 * fused, fused) + 4 * _linear(fused, fused)  # seven residual units
    to_fused = 9 * fused * sum(dims)
    return 2 * wide + _linear(wide, sum(dims)) + resizes + to_fused + fusions + _linear(9 * fused, out)


def _tracker(config: ModelConfig) -> int:
    dim, hidden, token = config.track_dim, config.track_hidden, 3 * config.track_dim + 4
    window = config.track_levels * (2 * config.track_radius + 1) ** 2
    mlp = _linear(window, hidden) + _linear(hidden, dim)
    blocks = config.track_depth * (4 * (_block(hidden)[0] + 4 * hidden) + 4 * hidden)  # two read a context
    update = 2 * token + _linear(token, hidden) + config.track_virtual * hidden + blocks
    update += 2 * hidden + _linear(hidden, dim + 2)
    return 2 * dim + mlp + 2 * token + update + 2 * dim + _linear(dim, dim) + 2 * _linear(dim, 1)
