"""What a camera does to a picture: each effect is there, has its size, and moves no pixel."""

import io

import numpy as np
import torch
from PIL import Image

from vggt_lite.config import VARIED_SCENES
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.camera_effects import PER_VIEW, apply_camera_effects, gaussian_blur, jpeg

CLEAN = VARIED_SCENES.with_(photographic=False)


def rendered(views: int = 2, size: int = 64) -> torch.Tensor:
    return generate_scenes(7, 1, views, size, size, config=CLEAN).images[0]


def taken(**numbers) -> torch.Tensor:
    """One picture with neutral settings, but for the numbers given by their place in the draws."""
    names = ("exposure", "red", "blue", "focus", "out_of_focus", "grain", "quality", "contrast")
    draws = torch.tensor([[0.5, 0.5, 0.5, 0.0, 1.0, 0.0, 1.0, 0.5]])
    for name, value in numbers.items():
        draws[0, names.index(name)] = value
    assert draws.shape == (1, PER_VIEW)
    image = torch.full((1, 3, 32, 32), 0.4)
    image[..., 16:] = 0.6
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return apply_camera_effects(image, draws, noise)[0]


def test_neutral_settings_change_next_to_nothing():
    picture = taken()
    assert (picture[..., 2:12] - 0.4).abs().mean() < 0.01 and (picture[..., 20:30] - 0.6).abs().mean() < 0.01


def test_exposure_and_white_balance_are_gains():
    plain, bright, warm = taken(), taken(exposure=1.0), taken(red=1.0)
    np.testing.assert_allclose((bright.mean() / plain.mean()).item(), 2**0.45, rtol=0.02)
    ratio = (warm / plain).mean((1, 2))
    np.testing.assert_allclose(ratio, [1.15, 1.0, 1.0], rtol=0.02)


def test_noise_grows_with_the_light():
    grainy = taken(grain=1.0)
    dark, light = grainy[..., 2:13].std(), grainy[..., 19:30].std()
    assert light > dark > 0.015


def test_soft_views_have_weaker_edges_in_the_same_place():
    sharp, soft = taken(), taken(focus=1.0, out_of_focus=0.0)
    step = lambda x: x.mean((0, 1)).diff()  # noqa: E731
    assert step(soft).max() < 0.5 * step(sharp).max()
    assert step(soft).argmax() == step(sharp).argmax() == 15


def test_blur_keeps_the_mean_and_each_view_has_its_own():
    images = rendered()
    blurred = gaussian_blur(images, torch.tensor([0.05, 1.2]))
    torch.testing.assert_close(blurred[0], images[0], atol=1e-4, rtol=0)
    assert (blurred[1] - images[1]).abs().mean() > 0.01
    flat = torch.full((1, 3, 20, 20), 0.3)
    torch.testing.assert_close(gaussian_blur(flat, torch.tensor([1.0])), flat)


def test_jpeg_loses_what_a_real_encoder_loses():
    image = (rendered(1)[0] * 255).round() / 255
    for quality in (30, 60, 90):
        file = io.BytesIO()
        Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(
            file, "JPEG", quality=quality, subsampling=0
        )
        real = torch.tensor(np.asarray(Image.open(file)).copy()).permute(2, 0, 1) / 255
        ours = jpeg(image[None], torch.tensor([float(quality)]))[0]
        lost, other = (real - image).abs().mean(), (ours - real).abs().mean()
        assert other < 2 / 255 and other < 0.65 * lost, quality  # the encoder computes in whole numbers


def test_jpeg_takes_sides_that_are_not_multiples_of_eight():
    image = rendered(1)[:, :, :50, :43]
    out = jpeg(image, torch.tensor([95.0]))
    assert out.shape == image.shape and (out - image).abs().mean() < 0.02


def test_a_photographed_scene_keeps_its_truth_and_does_not_depend_on_its_company():
    clean = generate_scenes(5, 2, 3, 40, 56, config=CLEAN)
    photos = generate_scenes(5, 2, 3, 40, 56, config=VARIED_SCENES)
    assert torch.equal(clean.depth, photos.depth) and torch.equal(clean.cam_from_world, photos.cam_from_world)
    assert (clean.images - photos.images).abs().mean() > 0.01
    alone = generate_scenes(6, 1, 2, 40, 56, config=VARIED_SCENES)
    # A batch of another size adds in another order: a coefficient of JPEG may round to its other neighbour
    same = (alone.images[0] - photos.images[1, :2]).abs() < 1e-6
    assert same.float().mean() > 0.99
