"""One picture, whatever it comes as, to an upright 8-bit RGB image, or an error that names it.

Everything a network sees goes through `to_rgb`, so that a file, a PIL image, an array and a tensor
with the same content give the same pixels. Colour profiles are not applied.
"""

import difflib
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

MIN_SIDE = 4  # pixels; anything smaller is a mistake, not a photograph
WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def to_rgb(source, label: str) -> Image.Image:
    """The upright picture in 8-bit RGB.

    EXIF rotation is applied, transparency is laid over white, 16-bit values are scaled (not clipped).

    Args:
        source: a path, a PIL image, an array (H, W), (H, W, 1|3|4) or a tensor (1|3|4, H, W); integers
            use their type's whole range (uint8, uint16), floats lie in [0, 1].
        label: how errors name the picture.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it cannot be read as a picture.
    """
    if isinstance(source, (str, Path)):
        return _from_file(Path(source).expanduser(), label)
    if isinstance(source, Image.Image):
        return _from_pil(source, label)
    if isinstance(source, Tensor):
        source = _channels_last(source, label)
    if isinstance(source, np.ndarray):
        return _from_array(source, label)
    raise ValueError(
        f"{label} is a {type(source).__name__}: give a path, a PIL image, a NumPy array (H, W, 3) or a "
        "tensor (3, H, W)."
    )


def _from_file(path: Path, label: str) -> Image.Image:
    if path.is_dir():
        raise ValueError(f"{label} is a folder: pass it by itself, not in a list, or list its pictures.")
    if not path.exists():
        raise FileNotFoundError(
            f"{label} does not exist (looked in {path.parent.resolve()}).{_nearest(path)}"
        )
    if path.stat().st_size == 0:
        raise ValueError(f"{label} is empty (0 bytes): copy or download it again.")
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels; phones make 200. It still refuses twice its limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{label} is not a picture Pillow can read, whatever its suffix says: convert it to JPEG or PNG."
        ) from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{label} unpacks to more pixels than is safe ({error}). Shrink it, or, if you trust it, raise "
            "PIL.Image.MAX_IMAGE_PIXELS first."
        ) from error
    except Exception as error:  # a broken header can raise almost anything
        raise ValueError(f"{label} cannot be opened ({error}): copy or export it again.") from error
    with image:
        return _from_pil(image, label)


def _from_pil(image: Image.Image, label: str) -> Image.Image:
    _check_size(image.width, image.height, label)
    try:
        image.load()
        image = _upright(image, label)
        if image.mode in WIDE_GREY:
            return _from_array(_to_16_bit(np.asarray(image), label), label)
        if image.mode == "F":
            return _from_array(np.asarray(image), label)
        if image.mode in WITH_ALPHA or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")
    except ValueError as error:
        if str(error).startswith(label):
            raise
        raise ValueError(f"{label} cannot be turned into RGB ({error}): save it as JPEG or PNG.") from error
    except Exception as error:  # truncated or damaged data: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"{label} is damaged ({error}): copy or export it again.") from error


def _upright(image: Image.Image, label: str) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (ValueError, TypeError, KeyError, SyntaxError, OSError, struct.error) as error:
        warnings.warn(f"{label}: unreadable EXIF data ({error}); taken as upright.", stacklevel=2)
        return image


def _from_array(array: np.ndarray, label: str) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = " It looks channels-first: use array.transpose(1, 2, 0)."
        raise ValueError(f"{label} has shape {array.shape}: arrays are (H, W), (H, W, 1|3|4).{hint}")
    _check_size(array.shape[1], array.shape[0], label)
    pixels = _to_8_bit(array, label)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return _from_pil(Image.fromarray(np.ascontiguousarray(pixels)), label)


def _to_8_bit(array: np.ndarray, label: str) -> np.ndarray:
    kind = array.dtype.kind + str(array.dtype.itemsize)
    if kind == "u1":
        return array
    if kind == "u2":
        return np.round(array / 257.0).astype(np.uint8)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{label} has dtype {array.dtype}: use uint8 (0 … 255), uint16 (0 … 65535) or floats in [0, 1]."
        )
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"{label} has {bad} NaN or infinite values: replace them (numpy.nan_to_num).")
    low, high = float(array.min()), float(array.max())
    if low < -0.01 or high > 1.01:  # interpolation may overshoot a little
        cure = "divide by 255 or pass uint8" if 0 <= low and high <= 255.5 else "scale to that range first"
        raise ValueError(f"{label} has values from {low:g} to {high:g}: floats must lie in [0, 1]; {cure}.")
    return np.round(np.clip(array, 0, 1) * 255.0).astype(np.uint8)


def _to_16_bit(array: np.ndarray, label: str) -> np.ndarray:
    """Pillow's mode "I" has 32 bits, but is how some versions open 16-bit PNGs."""
    if array.min() < 0 or array.max() > 65535:
        raise ValueError(f"{label} has 32-bit values beyond 0 … 65535: save it with 8 or 16 bits.")
    return array.astype(np.uint16)


def _channels_last(tensor: Tensor, label: str) -> np.ndarray:
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        hint = " Use tensor.permute(2, 0, 1)." if tensor.ndim == 3 and tensor.shape[-1] in (1, 3, 4) else ""
        raise ValueError(f"{label} has shape {tuple(tensor.shape)}: tensors are (3, H, W).{hint}")
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).permute(1, 2, 0).numpy()


def _check_size(width: int, height: int, label: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ValueError(
            f"{label} is {width}×{height} pixels: too small to show anything; at least {MIN_SIDE} a side, "
            "better some hundred."
        )


def _nearest(path: Path) -> str:
    """A file of nearly the same name in the same folder, as a hint; "" if there is none."""
    if not path.parent.is_dir():
        return ""
    names = [p.name for p in path.parent.iterdir() if p.is_file()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean {close[0]}?" if close else ""
