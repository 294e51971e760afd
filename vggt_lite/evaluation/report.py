"""`Report`: figures together with all that is needed to get them again."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vggt_lite.files import whole_file
from vggt_lite.weights import BUNDLED

# key: (what people read, the better direction, decimals)
ROWS = {
    "auc_5": ("pose AUC@5", "↑", 1),
    "auc_10": ("pose AUC@10", "↑", 1),
    "auc_15": ("pose AUC@15", "↑", 1),
    "auc_30": ("pose AUC@30", "↑", 1),
    "rra_15": ("rotations within 15° (RRA@15), %", "↑", 1),
    "rta_15": ("translation directions within 15° (RTA@15), %", "↑", 1),
    "rotation_median_deg": ("rotation error, median °", "↓", 2),
    "translation_median_deg": ("translation direction error, median °", "↓", 2),
    "fov_median_deg": ("field of view error, median °", "↓", 2),
    "depth_abs_rel": ("depth AbsRel, median-scaled", "↓", 3),
    "depth_delta_125": ("depth within 1.25 of the truth, %", "↑", 1),
    "point_error": ("point map error ÷ scene scale, after alignment", "↓", 3),
    "depth_point_error": ("the same for points from depth and cameras", "↓", 3),
    "track_delta": ("tracks δ_avg^vis, scaled to 256 px, %", "↑", 1),
    "track_aj": ("tracks average Jaccard, scaled to 256 px, %", "↑", 1),
    "track_delta_px": ("tracks δ_avg^vis in network pixels, %", "↑", 1),
    "track_aj_px": ("tracks average Jaccard in network pixels, %", "↑", 1),
    "track_oa": ("tracks visibility accuracy, %", "↑", 1),
    "matching_accuracy": ("patches whose most similar patch is the right one, %", "↑", 1),
    "correlation_pitch": ("correlation with the truth: pitch", "↑", 2),
    "correlation_yaw": ("… yaw", "↑", 2),
    "correlation_roll": ("… roll", "↑", 2),
    "correlation_sideways": ("… camera position, sideways", "↑", 2),
    "correlation_down": ("… camera position, down", "↑", 2),
    "correlation_forward": ("… camera position, forward", "↑", 2),
    "correlation_height": ("… camera position, height", "↑", 2),
}


@dataclass
class Report:
    """Scores of a model, of the constant predictor, and how they were measured."""

    model: dict[str, float]
    constant: dict[str, float]
    protocol: dict  # text, seeds, sizes, scene_config, seconds, hardware, versions

    def __getitem__(self, key: str) -> float:
        return self.model[key]

    def save(self, path: Path | str) -> Path:
        """Write JSON."""
        path = Path(path)
        with whole_file(path) as temporary:
            text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        return path

    @staticmethod
    def load(path: Path | str) -> "Report":
        return Report(**json.loads(Path(path).read_text(encoding="utf-8")))

    def to_markdown(self) -> str:
        """The protocol in a sentence, then a table: one row per figure, model beside constant."""
        rows = ["| | | model | constant predictor |", "|---|---|---:|---:|"]
        for key, (label, direction, decimals) in ROWS.items():
            if key in self.model:
                cells = [f"{s[key]:.{decimals}f}" if key in s else "–" for s in (self.model, self.constant)]
                rows.append(f"| {label} | {direction} | {cells[0]} | {cells[1]} |")
        made = f"Measured on {self.protocol['hardware']} in {self.protocol['seconds']:.0f} s."
        return "\n".join([self.protocol["text"], "", *rows, "", made]) + "\n"

    def __repr__(self) -> str:
        return self.to_markdown()


def bundled_report(name: str) -> Report:
    """What a bundled model scored on its held-out scenes, as committed beside its weights.

    Raises:
        FileNotFoundError: No report for a model of that name.
    """
    path = BUNDLED / f"{name}_evaluation.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; make it: vggt-lite evaluate --weights {name} --out {path}."
        )
    return Report.load(path)


def hardware(device: torch.device | str) -> str:
    """The name of what computed, for people."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = [x for x in cpuinfo.read_text(encoding="utf-8").splitlines() if x.startswith("model name")]
        name = found[0].split(":", 1)[1].strip() if found else name
    return f"{name}, {torch.get_num_threads()} thread(s)"


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__}
