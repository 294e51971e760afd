"""Changes of colour that a model must not care about."""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue to the eye


def augment_colors(images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Pictures as by another camera and light: gamma, brightness, contrast, saturation, tint and noise.

    All views of a scene share one draw, and each view has a smaller one of its own (cameras adjust
    their exposure from shot to shot).

    Args:
        images: (B, S, 3, H, W) in [0, 1].
        generator: CPU generator of the draws.
        strength: 1 is the usual amount, 0 changes nothing.

    Returns:
        (B, S, 3, H, W) in [0, 1].
    """

    def draw(*shape: int, spread: float) -> Tensor:
        """Factors around 1, between 1 / (1 + spread) and 1 + spread."""
        uniform = 2 * torch.rand(shape, generator=generator) - 1
        return torch.exp(uniform * strength * torch.log1p(torch.tensor(spread))).to(images.device)

    scenes, views = images.shape[:2]
    per_scene, per_view = (scenes, 1, 1, 1, 1), (scenes, views, 1, 1, 1)
    images = images.clamp(min=1e-4) ** draw(*per_scene, spread=0.4)
    gray = (images * images.new_tensor(LUMA).view(3, 1, 1)).sum(2, keepdim=True)  # (B, S, 1, H, W)
    images = gray + draw(*per_scene, spread=0.5) * (images - gray)
    mean = gray.mean((-2, -1), keepdim=True)
    images = mean + draw(*per_scene, spread=0.3) * (images - mean)
    gain = draw(scenes, 1, 3, 1, 1, spread=0.15) * draw(*per_scene, spread=0.3) * draw(*per_view, spread=0.1)
    images = images * gain
    sigma = 0.02 * strength * torch.rand(per_scene, generator=generator).to(images.device)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return torch.addcmul(images, noise, sigma).clamp(0, 1)
