"""One door for every system: `python tasks.py demo`. (`make demo` only forwards to it.)

    demo        reconstruct a held-out scene and a photographed stereo pair; write outputs/demo/index.html
    lab         open JupyterLab on notebook 00
    test        lint, unit tests, golden parity, notebooks, browser; `test ARGS` is pytest with those alone
    test-full   the same, with the tests marked slow, and notebooks at full size
    lint        style of code and notebooks
    student     write notebooks/student anew: the lessons without solutions, for a class
    solutions   pack solved lessons and keys for teachers: outputs/solutions.zip
    slides      slides of each lesson from its own figures, HTML and PDF: outputs/slides/
    wheelhouse  download all that a class needs to install without a network: wheelhouse/
    site        the lessons, docs and API as pages: site/index.html
    app         the page in the browser that `vggt-lite app` serves: docs/app.md
    lock        write constraints.txt and constraints-app.txt anew from pyproject.toml and constraints.in
    setup       make .venv and install into it; every command above does this by itself, once
    setup-learner  the same without test tools; `demo` and `lab` need no more
    clean       remove .venv, .site-venv, .app-venv, caches, outputs/ and site/

Standard library only, and it starts on Python 3.8, so that it can say which Python is needed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def python_of(venv):
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


VENV = ROOT / ".venv"
PYTHON = python_of(VENV)
BIN = PYTHON.parent
SITE_VENV = ROOT / ".site-venv"  # of the site alone: learners need no Sphinx, and the site no PyTorch
APP_VENV = ROOT / ".app-venv"  # of the app alone: Gradio asks for an older Pillow than the one tested here
STAMP = VENV / ".vggt_lite_stamp"
EVERYTHING, LEARNER = "dev,browser", "learner"  # extras of pyproject.toml
LOCK_INPUTS = ("pyproject.toml", "constraints.in")
FIRST_NOTEBOOK = "notebooks/00_quickstart.ipynb"
# Notebooks under test draw few points, take few steps and print no progress bars. A thread each: processes
# run side by side, and threads that wait for a core which is taken are many times slower.
SMALL = {"VGGT_LITE_FAST": "1", "VGGT_LITE_QUIET": "1", "VGGT_LITE_MAX_POINTS": "2000"}
SMALL |= {"OMP_NUM_THREADS": "1"}
# Threads that wait sleep: where others use the cores, too, those that spin make all 25 times slower and more.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadfile")  # a file's tests share a process
NBVAL = ("--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with", "tests/nbval_sanitize.cfg")
NBVAL += ("--ignore", "notebooks/student")  # the lessons once more, with nothing to compare


def attempt(*command, **env):
    """Run a command in the checkout; its exit code."""
    print("+", *command, flush=True)
    command = [str(part) for part in command]
    return subprocess.call(command, cwd=str(ROOT), env={**PATIENT, **os.environ, **jupyter_env(), **env})


def run(*command, **env):
    """Run a command that must succeed: leave with its exit code if it does not."""
    if code := attempt(*command, **env):
        sys.exit(code)


def jupyter_env():
    """Keep Jupyter's settings, workspaces and history inside the checkout, away from the user's own."""
    home = ROOT / ".jupyter"
    home.mkdir(exist_ok=True)
    return {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONUTF8": "1",
    }


def setup(extras=EVERYTHING):
    """Make .venv and install into it, unless the stamp says that nothing has changed since."""
    enough = {fingerprint(extras), fingerprint(EVERYTHING)}
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() in enough:
        return
    if sys.version_info < (3, 10):  # noqa: UP036 (this file may be started by an older one)
        version = sys.version.split()[0]
        sys.exit(f"vggt_lite needs Python 3.10 or newer; this is {version}. Try: make demo PYTHON=python3.12")
    start = time.time()
    print("setting up .venv (once; one to four minutes) …", flush=True)
    if not PYTHON.exists():
        run(sys.executable, "-m", "venv", VENV)  # Debian, Ubuntu: needs the package python3-venv
    install("-c", "constraints.txt", "-e", f".[{extras}]")
    configure_jupyter()
    STAMP.write_text(fingerprint(extras))
    print(f"environment ready in {time.time() - start:.0f} s", flush=True)


def setup_learner():
    """What lessons and the demo need: no test tools."""
    setup(LEARNER)


def fingerprint(extras):
    """Changes when anything that decides what is installed changes."""
    settings = (path for path in (ROOT / "jupyter_config").rglob("*") if path.is_file())
    digest = hashlib.sha256(extras.encode())
    for file in [ROOT / "pyproject.toml", *sorted(ROOT.glob("constraints*.txt")), *sorted(settings)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def install(*arguments, python=PYTHON):
    """Into .venv or another, with uv where there is one (ten times faster), else with pip."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(BIN))
    if uv:
        wheels = os.environ.get("PIP_FIND_LINKS")  # a folder of wheels that pip knows of serves uv too
        env = {"UV_FIND_LINKS": wheels} if wheels else {}
        if os.environ.get("PIP_NO_INDEX"):
            env["UV_NO_INDEX"] = "1"
        run(uv, "pip", "install", "--quiet", "--python", python, *arguments, **env)
    else:
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def configure_jupyter():
    """A quiet Lab: no news, all cells in the page, uploads over 10 MB allowed; exports keep alt texts."""
    shutil.copytree(str(ROOT / "jupyter_config"), str(VENV), dirs_exist_ok=True)


def demo(*arguments):
    setup_learner()
    run(PYTHON, "-m", "vggt_lite.cli", "demo", *arguments)


def lab(*arguments):
    setup_learner()
    options = [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options += ["--allow-root", "--no-browser"]  # containers; Lab prints the address to open
    run(PYTHON, "-m", "jupyterlab", *options, *arguments)


def test(*arguments):
    setup()
    if arguments:
        run(PYTHON, "-m", "pytest", *arguments)
    else:
        everything("-m", "not slow", **SMALL)


def test_full():
    setup()
    everything(VGGT_LITE_QUIET="1")


def everything(*selection, **env):
    """Lint, then one pytest run over tests and notebooks: both report, and either can fail."""
    untidy = lint_code()
    run(PYTHON, "-m", "pytest", *selection, "tests", "notebooks", *NBVAL, *SIDE_BY_SIDE, **env)
    if untidy:
        sys.exit("the tests passed, but lint did not: see the top of this output, or `make lint`")


def lint():
    setup()
    sys.exit(lint_code())


def lint_code():
    contracts = attempt(BIN / "lint-imports", "--no-cache")  # which room may import which: pyproject.toml
    return attempt(PYTHON, "-m", "ruff", "check", ".") | contracts | attempt(PYTHON, "tools/nb.py", "check")


def student(*arguments):
    setup_learner()
    run(PYTHON, "tools/student.py", *(arguments or ["write"]))


def solutions(*arguments):
    setup_learner()
    run(PYTHON, "tools/solutions.py", *arguments)


def slides(*arguments):
    setup()
    run(PYTHON, "tools/slides.py", *(arguments or ["--pdf"]))


def wheelhouse(*arguments):
    """Wheels of this package and of all that learners' set-up installs, for this Python and system."""
    setup_learner()
    folder = arguments[0] if arguments else "wheelhouse"
    wanted = ["-c", "constraints.txt", f".[{LEARNER}]", "setuptools>=77"]  # what builds an editable install
    run(PYTHON, "-m", "pip", "wheel", "--disable-pip-version-check", "--wheel-dir", folder, *wanted)
    print(f"{folder}: next, on a machine without a network, see teaching/classroom.md", flush=True)


def site():
    run(venv_of("site", SITE_VENV, "constraints.txt"), "tools/website/build.py")


def app(*arguments):
    """The app's packages are looked for in .app-venv, then in .venv: PyTorch is installed once."""
    setup_learner()
    python = venv_of("app", APP_VENV, "constraints-app.txt")
    (packages_of(python) / "below.pth").write_text(
        f"import site; site.addsitedir({str(packages_of(PYTHON))!r})\n"
    )
    run(python, "-m", "vggt_lite.cli", "app", *arguments)


def venv_of(extra, folder, constraints):
    """The Python of an environment that holds the lines of one extra, and not the package with its PyTorch.

    Made unless its stamp says that nothing has changed since.
    """
    python, stamp = python_of(folder), folder / ".vggt_lite_stamp"
    if not (python.exists() and stamp.exists() and stamp.read_text() == fingerprint(extra)):
        if not python.exists():
            run(sys.executable, "-m", "venv", folder)
        install("-c", constraints, *requirements_of(extra), python=python)
        stamp.write_text(fingerprint(extra))
    return python


def packages_of(python):
    """Where a Python keeps its packages."""
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.check_output(command, universal_newlines=True).strip())


def requirements_of(extra):
    """The lines of an extra of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = re.search(rf"^{extra} = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r'^  "(.+?)",', lines, re.MULTILINE)


def lock():
    """Resolve for every Python and system at once; torch itself pulls CUDA where it needs it."""
    setup()
    install("uv")
    extras = [word for extra in ("dev", "browser", "site") for word in ("--extra", extra)]
    write_lock("constraints.txt", "-c", "constraints.in", *extras, "pyproject.toml")
    inputs = ROOT / ".jupyter" / "app.in", ROOT / ".jupyter" / "app_constraints.in"
    inputs[0].write_text("\n".join(requirements_of("app")))
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    inputs[1].write_text("\n".join(line for line in lines if not line.startswith("pillow==")))
    write_lock("constraints-app.txt", "-c", inputs[1], inputs[0])


def write_lock(name, *inputs):
    command = ["pip", "compile", "--quiet", "--universal", "--python-version", "3.10"]
    command += ["--no-header", "--no-annotate", "--no-emit-package", "vggt-lite"]
    raw = ROOT / ".jupyter" / "constraints.raw"
    run(PYTHON, "-m", "uv", *command, *inputs, "-o", raw)
    lines = raw.read_text().splitlines()
    lines = [line for line in lines if not line.startswith(("nvidia-", "cuda-", "triton"))]
    header = "# written by `python tasks.py lock`: tested versions for Python 3.10 and newer, all systems\n"
    (ROOT / name).write_text(header + "\n".join(lines) + "\n")
    raw.unlink()


def clean():
    caches = (".jupyter", ".pytest_cache", ".ruff_cache", "vggt_lite.egg-info")
    for name in (".venv", ".site-venv", ".app-venv", *caches, "outputs", "site"):
        shutil.rmtree(str(ROOT / name), ignore_errors=True)


COMMANDS = {
    "demo": demo,
    "lab": lab,
    "test": test,
    "test-full": test_full,
    "lint": lint,
    "student": student,
    "solutions": solutions,
    "slides": slides,
    "wheelhouse": wheelhouse,
    "site": site,
    "app": app,
    "lock": lock,
    "setup": setup,
    "setup-learner": setup_learner,
    "clean": clean,
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[name](*sys.argv[2:])
