"""JupyterLab and a Chromium page for browser tests.

`lab` serves a copy of `notebooks/`, so a test may run and save what it likes; `page` is a fresh tab in
headless Chromium that cannot reach anything outside this machine. Without a Chromium the tests are
skipped, or fail if VGGT_LITE_REQUIRE_BROWSER is set (as `.ci/run` does). SHOTS=/folder keeps a screenshot of
every test.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

from tasks import SMALL
from tools.stills import CHROMIUM, FLAGS, missing

ROOT = Path(__file__).resolve().parents[2]
# Lab keeps cells that are scrolled away out of the page, and shows news: both confuse a test.
LAB_SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "doNotDisturbMode": true}',
}
LATE = "[anywidget] Failed to initialize model."


class Lab(NamedTuple):
    """A running JupyterLab: open `f"{url}/lab/tree/notebooks/NAME.ipynb?reset&token={token}"`."""

    url: str
    token: str
    folder: Path  # its root: holds notebooks/ (a copy) and data/ (a link)


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if missing() and not os.environ.get("VGGT_LITE_REQUIRE_BROWSER"):
                item.add_marker(pytest.mark.skip(reason=missing()))


@pytest.fixture(scope="session")
def jupyter_env(tmp_path_factory) -> dict[str, str]:
    """Settings of a Jupyter that knows nothing of the user's own, and draws few points."""
    folder = tmp_path_factory.mktemp("jupyter")
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    env = {f"JUPYTER_{name}": str(folder / name.lower()) for name in names}
    env |= {f"JUPYTERLAB_{name}": str(folder / name.lower()) for name in ("SETTINGS_DIR", "WORKSPACES_DIR")}
    for plugin, text in LAB_SETTINGS.items():
        file = folder / "settings_dir" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**env, **SMALL, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": path}


@pytest.fixture(scope="session")
def lab(jupyter_env, tmp_path_factory):
    """A `Lab` on a copy of notebooks/, ended with the test session."""
    folder, port, token = tmp_path_factory.mktemp("lab"), free_port(), secrets.token_hex(8)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
    command = ["jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    url = f"http://127.0.0.1:{port}"
    process = serve(command, f"{url}/api?token={token}", folder / "lab.log", jupyter_env)
    yield Lab(url, token, folder)
    stop(process)


@pytest.fixture(scope="session")
def chrome():
    if reason := missing():
        pytest.fail(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chrome, request, tmp_path):
    """A tab; `page.errors` and `page.outside` list JavaScript errors and requests to other machines.

    `page.late` lists anywidget's complaints that a figure's code took over two seconds to load. They are no
    errors: see vggt_lite/viz/live_figure.js.
    """
    context = chrome.new_context(viewport={"width": 1400, "height": 1000})
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    tab.errors, tab.late, tab.outside = [], [], []
    context.route(leaves_this_machine, lambda route: route.abort())
    tab.on("pageerror", lambda error: (tab.late if LATE in str(error) else tab.errors).append(str(error)))
    tab.on("request", lambda r: tab.outside.append(r.url) if leaves_this_machine(r.url) else None)
    yield tab
    tab.screenshot(path=Path(os.environ.get("SHOTS", tmp_path)) / f"{request.node.name}.png")
    context.close()


def leaves_this_machine(url: str) -> bool:
    return url.startswith("http") and not url.startswith("http://127.0.0.1")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def serve(command: list[str], url: str, log: Path, env: dict[str, str]) -> subprocess.Popen:
    """Start `python -m command` and wait until `url` answers."""
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **env}
        )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return process
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


def stop(process: subprocess.Popen) -> None:
    process.terminate()  # our own child only; Jupyter shuts its kernels down on SIGTERM
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
