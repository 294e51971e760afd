"""`python -m vggt_lite.cli`."""

import sys

from vggt_lite.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
