"""What test_distributed starts with torchrun: `vggt-lite train two-steps`, a recipe that takes seconds.

torchrun --nproc-per-node 2 tests/training/train_job.py train two-steps --out FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.training.test_distributed import SMALL  # noqa: E402
from vggt_lite.cli.main import main  # noqa: E402
from vggt_lite.config import SceneConfig, TrainConfig  # noqa: E402
from vggt_lite.research.presets import PRESETS, Preset, TrainStage  # noqa: E402

STEPS = TrainConfig(steps=2, max_images=4, num_tracks=4, views=(2, 2), checkpoint_every=2, log_every=1)
STAGE = TrainStage(SceneConfig(num_objects=1), 32, STEPS, num_scenes=4)
PRESETS["two-steps"] = Preset(model=SMALL, path_views=2, stages={"all": STAGE})

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
