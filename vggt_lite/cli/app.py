"""`vggt-lite app`: photographs dropped into a page in the browser, the scene turned there, and its files."""

import argparse
import ipaddress
import os
import signal
import socket
import tempfile
from contextlib import suppress

from vggt_lite.cli.options import WEIGHTS, add_device, number, whole
from vggt_lite.config import DEFAULT_WEIGHTS

OPEN = (
    "note: everybody in this network can open the page, send it files and use this computer's processor; "
    "there is no password. Without --host it is for this computer alone."
)


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS",
        help="where the page can be opened from; default: from this computer only. 0.0.0.0: from the whole "
        "network, without a password; weights are then those of --weights and the bundled ones")  # fmt: skip
    add("--port", type=whole(0, 65535), default=7860, help="default: 7860; 0: any that is free")
    add("--weights", default=DEFAULT_WEIGHTS, help=f"chosen when the page opens: {WEIGHTS}; default: "
        f"{DEFAULT_WEIGHTS}")  # fmt: skip
    add_device(sub)
    add("--most-views", type=whole(1, 1000), default=50, metavar="N",
        help="photographs, or frames of a video, that one scene may have; default: 50")  # fmt: skip
    add("--most-megabytes", type=whole(1, 100_000), default=200, metavar="MB",
        help="what the files of one scene may have together; default: 200")  # fmt: skip
    add("--keep", type=number(1, 10_000), default=60, metavar="MINUTES",
        help="uploads and results are deleted after so long, and when the app ends; default: 60")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Serve until Ctrl-C. All files lie in one temporary folder, which is removed at the end.

    Raises:
        ImportError: Gradio is not installed.
        OSError: the port is taken, or the address is not this computer's.
    """
    from vggt_lite.cli.app_work import Settings
    from vggt_lite.export.colmap_model import import_pycolmap
    from vggt_lite.utils.runtime import pick_device

    local = is_loopback(args.host)
    megabytes = 10**6 * args.most_megabytes
    with (
        listen(args.host, args.port) as listening,
        tempfile.TemporaryDirectory(prefix="vggt-lite-") as folder,
    ):
        settings = Settings(
            folder, args.weights, local, pick_device(args.device), args.most_views, megabytes, 60 * args.keep
        )
        # Gradio reads these when it is imported, by the next line.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        serve = import_page().serve
        with suppress(ImportError):  # it takes SIGTERM for itself when it is imported: now, not at a download
            import_pycolmap()
        if not local:
            print(OPEN)
        host, port = listening.getsockname()[:2]
        print(f"open http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends the app)", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: files are removed then, too
        try:
            serve(settings, listening)
        except KeyboardInterrupt:
            print("stopped; its files are removed")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises: OSError: the port is taken, or the address not this computer's."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror or error
        raise OSError(f"{host}, port {port}: {why}. Choose another --port or --host.") from error


def import_page():
    """`app_page`, or an ImportError that says how to get Gradio."""
    try:
        from vggt_lite.cli import app_page
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ImportError("the app needs Gradio: pip install 'vggt-lite[app]', or `make app`.") from error
    return app_page


def is_loopback(host: str) -> bool:
    """Whether a page served at this address can be opened from this computer only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
