"""`vggt-lite`: one file a command."""

from vggt_lite.cli.main import main

__all__ = ["main"]
