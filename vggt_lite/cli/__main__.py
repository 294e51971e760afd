"""`python -m vggt_lite.cli`."""

import sys

from vggt_lite.cli.main import main

sys.exit(main())
