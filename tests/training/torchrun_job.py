"""What test_distributed starts with torchrun: a toy training whose last process kills itself once, at step 6.

torchrun --nproc-per-node 2 --max-restarts 1 tests/training/torchrun_job.py FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.training.test_distributed import SHORT, Scenes, toy  # noqa: E402
from vggt_lite.research import distributed  # noqa: E402
from vggt_lite.training import train  # noqa: E402

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with distributed.init() as workers:
        begun = any(folder.glob("*.pt"))
        train(toy(), Scenes(kill=None if begun else 6), SHORT, folder, workers=workers)
