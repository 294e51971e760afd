"""What a camera does to a picture: exposure, white balance, focus, sensor noise, JPEG.

A rendered image is too clean. Each view is passed through a small model of a camera, in the order in which
a camera works; every step keeps all pixels where they are, so the truth stays true.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PER_VIEW = 8  # uniform numbers that decide what happens to one view
BLOCK = 8  # pixels along a side of JPEG's blocks

# ITU-T T.81, tables K.1 and K.2: steps of each frequency of brightness and of colour at quality 50
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)  # fmt: skip
YCBCR_FROM_RGB = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def apply_camera_effects(images: Tensor, draws: Tensor, noise: Tensor) -> Tensor:
    """Take pictures of what was rendered.

    Args:
        images: (V, 3, H, W) in [0, 1].
        draws: (V, PER_VIEW) uniform in [0, 1): exposure, two of white balance, focus (two), sensor noise,
            JPEG quality, contrast.
        noise: (V, 3, H, W) standard normal.

    Returns:
        (V, 3, H, W) in [0, 1].
    """
    exposure, red, blue, focus, out_of_focus, grain, quality, contrast = draws.unbind(-1)
    one = torch.ones_like(red)
    gain = torch.exp2(0.9 * (exposure - 0.5))  # ± 0.45 stops
    balance = torch.stack([1 + 0.3 * (red - 0.5), one, 1 + 0.3 * (blue - 0.5)], dim=-1)  # (V, 3)
    curve = (0.85 + 0.3 * contrast)[:, None, None, None]
    images = images.clamp_min(1e-4) ** curve * (gain[:, None] * balance)[..., None, None]
    sigma = torch.where(out_of_focus < 0.3, 0.4 + 0.8 * focus, 0.3)  # pixels; three views in ten are soft
    images = gaussian_blur(images, sigma)
    read, shot = 0.004 + 0.016 * grain, 0.03 * grain  # noise of the dark, and of the light itself
    spread = (read[:, None, None, None] ** 2 + shot[:, None, None, None] ** 2 * images.clamp(0, 1)).sqrt()
    images = (images + spread * noise).clamp(0, 1)
    return jpeg(images, 50 + 45 * quality)


def gaussian_blur(images: Tensor, sigma: Tensor, reach: int = 3) -> Tensor:
    """Blur (V, 3, H, W), each view by its own standard deviation (V,), pixels; edges repeated.

    The Gaussian is cut off `reach` pixels from its middle.
    """
    offsets = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3V, 2 · reach + 1)
    flat = F.pad(images.flatten(0, 1)[None], (reach,) * 4, mode="replicate")  # (1, 3V, H + …, W + …)
    flat = F.conv2d(flat, weights[:, None, None, :], groups=len(weights))
    return F.conv2d(flat, weights[:, None, :, None], groups=len(weights))[0].view_as(images)


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """What baseline JPEG (ITU-T T.81) leaves of (V, 3, H, W) images at qualities (V,) of 1 to 100.

    Its loss, without its file: the cosine transform of 8 × 8 blocks, rounded to steps that grow with the
    frequency. Colour is kept at full resolution. On any device; the same everywhere up to rounding.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    to_ycbcr = images.new_tensor(YCBCR_FROM_RGB)
    channels = torch.einsum("kc,vchw->vkhw", to_ycbcr, padded * 255)
    channels[:, 0] -= 128
    blocks = channels.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))  # (V, 3, rows, 8, columns, 8)
    dct = cosines(images.device)
    frequencies = torch.einsum("ua,vcrakb,wb->vcrukw", dct, blocks, dct)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)[:, None, None, None]
    tables = images.new_tensor([LUMINANCE, CHROMINANCE, CHROMINANCE])  # (3, 8, 8)
    steps = (tables * scale).round().clamp(1, 255)[:, :, None, :, None, :]  # (V, 3, 1, 8, 1, 8)
    kept = (frequencies / steps).round() * steps
    blocks = torch.einsum("ua,vcrukw,wb->vcrakb", dct, kept, dct)
    channels = blocks.flatten(2, 3).flatten(3, 4)
    channels[:, 0] += 128
    rgb = torch.einsum("kc,vchw->vkhw", torch.linalg.inv(to_ycbcr), channels)
    return (rgb[..., :height, :width].round() / 255).clamp(0, 1)


def cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of eight numbers, (8 frequencies, 8 places)."""
    place = torch.arange(BLOCK, device=device) + 0.5
    frequency = torch.arange(BLOCK, device=device)[:, None]
    matrix = torch.cos(math.pi / BLOCK * frequency * place) * (2 / BLOCK) ** 0.5
    matrix[0] *= 0.5**0.5
    return matrix
