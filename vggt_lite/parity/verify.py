"""`vggt-lite verify`: every comparison that this machine allows, one after the other.

1. Golden numbers with the rule's weights, on the CPU and on the accelerator: always. They need no download.
2. What half precision changes, stage by stage, on the small golden network.
3. VGGT-1B itself against its golden numbers: with `full`.
4. Real weights, given or found in the hub's cache: sanity figures on scenes with known truth, precision.
5. Side by side with the official package: where it is installed.
"""

import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vggt_lite.config import VGGT_1B, ModelConfig
from vggt_lite.data.images import load_images
from vggt_lite.evaluation.examples import ALIGNED, held_out_scene, motorcycle, motorcycle_truth
from vggt_lite.evaluation.report import hardware, versions
from vggt_lite.model import VGGT
from vggt_lite.parity import golden
from vggt_lite.parity.checks import verify_golden, verify_precision
from vggt_lite.parity.deterministic_weights import (
    deterministic_images,
    deterministic_model,
    deterministic_points,
)
from vggt_lite.parity.official import HOW, SEEDS, official_class, verify_official
from vggt_lite.parity.table import Table
from vggt_lite.pretrained.hub import find_cached
from vggt_lite.pretrained.loading import load_pretrained
from vggt_lite.pretrained.releases import RELEASES
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED
from vggt_lite.utils.files import write_text
from vggt_lite.utils.runtime import available_memory, pick_device

MOST_VIEWS = 4  # every stage of every view is kept: about a gigabyte per view at the released size


@dataclass
class Verification:
    """What was compared, what was measured, and what could not be done and why."""

    device: torch.device
    say: Callable[[str], None] = print
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, dict] = field(default_factory=dict)  # scene: {what: {"model": …, "constant depth": …}}
    notes: list[str] = field(default_factory=list)  # what was left out, and how to have it done
    faults: list[str] = field(default_factory=list)  # figures that no sound network has
    seconds: float = 0.0

    @property
    def first_failure(self) -> str | None:
        """The first thing that is off, None if nothing is."""
        for table in self.tables:
            if not table.ok:
                return f"{table.title}: {table.first_failure or 'nothing was compared'}"
        return self.faults[0] if self.faults else None

    def add(self, table: Table) -> None:
        """Keep a comparison, and say what it found."""
        self.tables.append(table)
        self.say(f"{table.by_part()}\n")

    def note(self, text: str) -> None:
        """Keep and say what was left out."""
        self.notes.append(text)
        self.say(f"{text}\n")

    def save(self, path: str | Path) -> Path:
        """Write JSON."""
        path = Path(path)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(path, text + "\n")
        return path

    def to_dict(self) -> dict:
        try:
            package = {"vggt": importlib.metadata.version("vggt")}
        except importlib.metadata.PackageNotFoundError:
            package = {}
        return {
            "format": "vggt_lite verification 1",
            "passed": self.first_failure is None,
            "first_failure": self.first_failure,
            "device": str(self.device),
            "hardware": hardware(self.device),
            "versions": versions() | package,
            "seeds": {"nudges": list(SEEDS), "scene": FIRST_EVALUATION_SEED},
            "seconds": round(self.seconds, 1),
            "tables": [table.to_dict() for table in self.tables],
            "figures": self.figures,
            "notes": self.notes,
        }


def verify(
    full: bool = False,
    weights: str | Path | None = None,
    images: str | Path | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.bfloat16,
    config: ModelConfig = VGGT_1B,
    say: Callable[[str], None] = print,
) -> Verification:
    """Run whatever this machine allows, and say what was found.

    Args:
        full: Also VGGT-1B against its golden numbers: 7 GB of memory, two to five minutes on a CPU.
        weights: As for `VGGT.from_pretrained`; None takes a released checkpoint if the hub's cache has one.
        images: A folder of photographs for precision and for side by side; None takes the Motorcycle pair.
        device: Where to compute beside the CPU; None picks the best.
        dtype: The half precision of the comparisons.
        config: The network of the official package.
        say: Gets every text.

    Raises:
        FileNotFoundError: the golden files are not here, and no weights are given. And all that
            `VGGT.from_pretrained` and `load_images` raise.
        MemoryError: not enough of it for `full`.
        ValueError: `images` would not be looked at.
    """
    started = time.monotonic()
    done = Verification(pick_device(device), say)
    name, model = weights or next(filter(find_cached, RELEASES), None), None
    if images is not None and not Path(images).expanduser().exists():
        raise FileNotFoundError(f"{images} (--images) does not exist: give a folder of photographs.")
    if images is not None and name is None and official_class() is None:
        raise ValueError(f"images={str(images)!r} (--images) changes nothing without weights: --weights.")
    golden_tables(done, full, dtype, required=weights is None)
    if name is None:
        done.note(
            "Real weights: none given, and none in the hub's cache. --weights facebook/VGGT-1B fetches them "
            "(5 GB, once)."
        )
    elif weights is None and (lack := lacking_memory(VGGT_1B, done.device)):
        done.note(f"Real weights: {name} is in the hub's cache, but {lack}")
    else:
        model = load_pretrained(name).to(done.device)
        say(f"Real weights: {name}\n")
        measure(model, done)
        table = verify_precision(model, *pictures(model.config, images, done.note), dtype)
        table.title = f"{name}: {table.title}"
        done.add(table)
    try:
        if official_class() is None:
            done.note(f"Side by side: the official package is not installed. {HOW}")
        elif lack := lacking_memory(config, done.device):
            done.note(f"Side by side: {lack}")
        else:
            if model is not None and model.config != config:
                done.note(
                    f"Side by side: {name} is another network than the official one; weights come by rule."
                )
                model = None
            inputs = pictures(config, images, done.note)
            for table in verify_official(model, *inputs, done.device, dtype, config):
                done.add(table)
    except ImportError as error:
        done.note(f"Side by side: {error}.")
    done.seconds = time.monotonic() - started
    say(f"OFF: {done.first_failure}" if done.first_failure else f"nothing is off ({done.seconds:.0f} s)")
    return done


def golden_tables(done: Verification, full: bool, dtype: torch.dtype, required: bool) -> None:
    """Comparisons with the golden files; without these a note, or an error where they are `required`."""
    try:
        golden.path_of("tiny")
    except FileNotFoundError as error:
        if required or full:
            raise
        return done.note(str(error))
    inputs = golden.case_inputs(golden.metadata("tiny")["cases"]["main"])
    for place in dict.fromkeys((torch.device("cpu"), done.device)):
        done.add(verify_golden("tiny", place))
        done.add(verify_precision(deterministic_model(golden.GOLDEN_TINY, device=place), *inputs, dtype))
    if full:
        if lack := lacking_memory(VGGT_1B, done.device, times=1.5):
            raise MemoryError(f"--full: {lack}")
        done.add(verify_golden("full", done.device))


def lacking_memory(config: ModelConfig, device: torch.device, times: float = 2) -> str | None:
    """What is missing to hold `times` as much as the network's float32 weights; None if nothing is."""
    with torch.device("meta"):
        needed = times * sum(4 * value.numel() for value in VGGT(config).state_dict().values())
    for place in dict.fromkeys((torch.device("cpu"), device)):  # weights are made on the CPU
        if (free := available_memory(place)) < needed:
            return (
                f"{needed / 1e9:.1f} GB of memory are needed on {place} and {free / 1e9:.1f} GB are free: "
                "close other programs, or take a larger machine."
            )
    return None


def pictures(config: ModelConfig, folder: str | Path | None, note) -> tuple[Tensor, Tensor | None]:
    """Photographs (S, 3, H, W) for a network of this size, and points to follow if it can."""
    source = folder
    if folder is None:
        try:
            source = motorcycle_truth()[:2]
        except ImportError as error:
            note(f"{error}. Images made by rule were taken instead.")
    if source is None:
        height = 3 * config.image_size // 4 // config.patch_size * config.patch_size
        images = deterministic_images("verify", 2, height, config.image_size)
    else:
        images = load_images(source, "crop", config.image_size, config.patch_size).images
    if len(images) > MOST_VIEWS:
        note(f"{folder} holds {len(images)} pictures: the first {MOST_VIEWS} were taken.")
        images = images[:MOST_VIEWS]
    tracked = "track" in config.heads
    return images, deterministic_points("verify.points", 16, *images.shape[-2:]) if tracked else None


def measure(model: VGGT, done: Verification) -> None:
    """Sanity figures of real weights, on a generated scene and on photographs with true depth."""
    if not {"camera", "depth"} <= set(model.config.heads):
        return done.note("These weights lack the camera or depth head: no figures.")
    examples = {"generated scene": held_out_scene}
    try:
        motorcycle_truth()
        examples["Motorcycle photographs"] = motorcycle
    except ImportError as error:
        done.note(f"No figures on photographs: {error}.")
    for name, example in examples.items():
        found = example(model)
        done.figures[name] = found.metrics
        done.say(f"{name}\n{found.table()}\n")
    # The released networks measure photographs well: a part that is wrong shows here.
    depth = done.figures.get("Motorcycle photographs", {}).get(ALIGNED)
    if depth and model.config.dim == VGGT_1B.dim and not depth["model"] < depth["constant depth"]:
        done.faults.append(
            f"depth of the Motorcycle photographs is off by {100 * depth['model']:.0f} %, no better than a "
            f"constant depth ({100 * depth['constant depth']:.0f} %)"
        )
