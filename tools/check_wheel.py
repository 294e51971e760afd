"""Build the wheel, look into it, and use it outside the checkout: `python tools/check_wheel.py`.

The wheel is installed into an empty folder that comes first on Python's path; torch and other dependencies
are those of the Python that runs this. Needs a network for setuptools (the build happens in isolation).
"""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 32_000_000
PANORAMAS = (
    "city", "courtyard", "esplanade", "forest", "hall", "interior",
    "lab", "lobby", "sunrise", "sunset", "warehouse", "workshop",
)  # fmt: skip
DATA = (  # what the wheel holds beside modules
    *(f"vggt_lite/evaluation/panorama_views/{name}.jpg" for name in PANORAMAS),
    "vggt_lite/evaluation/panorama_views/views.json",
    "vggt_lite/parity/golden_data/full.safetensors",
    "vggt_lite/parity/golden_data/functions.safetensors",
    "vggt_lite/parity/golden_data/rule_check.json",
    "vggt_lite/parity/golden_data/tiny.safetensors",
    "vggt_lite/pretrained/bundled/nano.safetensors",
    "vggt_lite/pretrained/bundled/nano_evaluation.json",
    "vggt_lite/pretrained/bundled/tiny.safetensors",
    "vggt_lite/pretrained/bundled/tiny_evaluation.json",
    "vggt_lite/synthetic/panoramas/panoramas.jpg",
    "vggt_lite/synthetic/photographs/masks.png",
)
USE = """
import numpy as np, vggt_lite
from pathlib import Path
from PIL import Image
from vggt_lite import VGGT, generate_scenes

print(Path(vggt_lite.__file__).parents[1])
assert VGGT.from_pretrained("tiny").config == vggt_lite.TINY
Path("photographs").mkdir()
for view, image in enumerate(generate_scenes(1_000_003, 1, 2, 112, 112).images[0]):
    Image.fromarray((255 * image.permute(1, 2, 0)).byte().numpy()).save(f"photographs/{view}.png")
"""


def problems(names: list[str], size: int, modules: list[str], templates: list[str]) -> list[str]:
    """What is wrong with a wheel that holds files of these names.

    Args:
        names: What the wheel holds.
        size: Of the wheel, bytes.
        modules, templates: What the checkout holds, as paths that begin with the package's name.
    """
    wanted = {*modules, *templates, *DATA}
    held = {name for name in names if ".dist-info/" not in name}
    found = [f"{name} is missing: [tool.setuptools.package-data]" for name in sorted(wanted - held)]
    found += [f"{name} does not belong into the wheel" for name in sorted(held - wanted)]
    if size > MAX_BYTES:
        found.append(f"the wheel has {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}")
    return found


def build(folder: Path) -> Path:
    """The wheel, by way of the source distribution: so that has all it needs, too."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, quiet=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def use(wheel: Path, folder: Path) -> None:
    """Install the wheel and run what a user would, in an empty folder.

    Raises:
        SystemExit: something failed, or another copy of the package was used.
    """
    installed, here = folder / "installed", folder / "here"
    here.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", installed, wheel)
    env = {**os.environ, "PYTHONPATH": str(installed), "VGGT_LITE_QUIET": "1"}
    where = run(sys.executable, "-c", USE, cwd=here, env=env, quiet=True).strip()
    if Path(where) != installed.resolve():
        sys.exit(f"the package that was used lies in {where}, not in {installed}")
    script = installed / "bin" / "vggt-lite"
    command = [script] if script.is_file() else [sys.executable, "-m", "vggt_lite.cli"]  # Windows: an .exe
    run(*command, "reconstruct", "photographs", "--out", "out", cwd=here, env=env)
    run(*command, "verify", "--device", "cpu", cwd=here, env=env)
    if missing := [name for name in ("index.html", "points.ply") if not (here / "out" / name).is_file()]:
        sys.exit(f"reconstruct wrote no {' and no '.join(missing)}")


def run(*command, quiet: bool = False, **options) -> str:
    """Run a command that must succeed; what it printed, if `quiet`."""
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, text=True, **options)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}: {' '.join(command)}\n{done.stdout or ''}")
    return done.stdout or ""


def main() -> None:
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wheel = build(folder / "dist")
        package = [path for path in (ROOT / "vggt_lite").rglob("*") if "__pycache__" not in path.parts]
        paths = {path.relative_to(ROOT).as_posix(): path for path in package if path.is_file()}
        modules = [name for name in paths if name.endswith(".py")]
        templates = [name for name in paths if name.endswith((".html", ".js"))]
        names, size = zipfile.ZipFile(wheel).namelist(), wheel.stat().st_size
        if wrong := problems(names, size, modules, templates):
            sys.exit("\n".join(wrong))
        print(f"{wheel.name}: {len(modules)} modules, {size / 1e6:.1f} MB", flush=True)
        use(wheel, folder)
    print(f"the wheel works outside the checkout ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
