"""The house rules that a machine can check: sizes, notebooks, links, what may be imported where."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vggt_lite
from tools import data_readme, nb

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400
MAX_BYTES, MAX_DATA_BYTES = 1_000_000, 48_000_000
MAY_BE_LARGE = ("vggt_lite/pretrained/bundled/", "vggt_lite/parity/golden_data/")
# Written so that this file does not match itself. "jovyan" is the user in every Jupyter container.
PRIVATE_PATHS = re.compile(
    r"(?<![\w.])/(?:home|Users)/(?!jovyan/)[a-z]\w+/|(?<![\w.])/(?:[w]ork|root)/|\.\./[s]hared|/opt/(?:[w]heels|[p]ypi)"
)
DRAWING = {"plotly", "matplotlib"}


def committed() -> list[Path]:
    """The files of the repository: what git tracks or would add, else everything not hidden."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        files = [ROOT / name for name in names.split("\0") if name]
    else:
        files = [path for path in ROOT.rglob("*") if "/." not in f"/{path.relative_to(ROOT).as_posix()}"]
    return [path for path in files if path.is_file()]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str | None:
    """The file's text; None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode("utf-8", errors="replace")


FILES = committed()
MODULES = [path for path in FILES if name(path).startswith(("vggt_lite/", "tools/")) and path.suffix == ".py"]
MARKDOWN = {name(path): path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".md"}
NOTEBOOKS = nb.find([])


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, "split it: one idea per file"


def test_no_file_is_too_large_to_review():
    large = {name(path): path.stat().st_size for path in FILES if path.stat().st_size > MAX_BYTES}
    assert not [file for file in large if not file.startswith(MAY_BE_LARGE)]


def test_data_fits_its_budget():
    folders = ("data/", "vggt_lite/evaluation/panorama_views/", *MAY_BE_LARGE)
    carried = [path for path in FILES if name(path).startswith(folders)]
    assert sum(path.stat().st_size for path in carried) <= MAX_DATA_BYTES


@pytest.mark.parametrize("folder", data_readme.FOLDERS, ids=name)
def test_the_table_of_data_files_is_in_step(folder):
    assert not data_readme.problems(folder)


def test_a_changed_data_file_and_a_file_without_origin_are_noticed(tmp_path):
    (tmp_path / "README.md").write_text(
        f"{data_readme.BEGIN}\n| file |\n|---|\n{data_readme.END}\n", encoding="utf-8"
    )
    (tmp_path / "scene.npz").write_bytes(b"1")
    assert len(data_readme.problems(tmp_path)) == 2  # no row, no origin
    filled = data_readme.updated(tmp_path).replace("| ? | ? |", "| drawn by us | CC0 |")
    (tmp_path / "README.md").write_text(filled, encoding="utf-8")
    assert not data_readme.problems(tmp_path)
    (tmp_path / "scene.npz").write_bytes(b"2")
    assert len(data_readme.problems(tmp_path)) == 1


def test_no_text_names_a_path_of_one_persons_machine():
    texts = {name(path): text_of(path) for path in FILES}
    assert not {file: hit[0] for file, text in texts.items() if text and (hit := PRIVATE_PATHS.search(text))}


def test_private_paths_are_recognised():
    for path in ("/home/" + "ada/vggt", "/wo" + "rk/main", "../sha" + "red/notes.md", "see /ro" + "ot/x"):
        assert PRIVATE_PATHS.search(path), path
    for path in (
        "/home/jovyan/work",
        "https://github.com/org/framework/main",
        "our work/main idea",
        "geometry.root/x",
    ):
        assert not PRIVATE_PATHS.search(path), path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_small_clean_and_run_in_order(path):
    assert not nb.problems(path)


def test_a_notebook_with_payload_error_or_wrong_order_is_refused(tmp_path):
    v4 = nb.nbformat.v4
    good = v4.new_notebook(cells=[v4.new_code_cell("1", execution_count=1)])
    path = tmp_path / "lesson.ipynb"
    path.write_text(nb.as_text(nb.clean(good)), encoding="utf-8")
    assert not nb.problems(path)

    figure = {"application/vnd.plotly.v1+json": {}, "text/plain": "figure"}
    payload = v4.new_output("display_data", data=figure)
    failure = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    cells = [
        v4.new_code_cell("2", execution_count=3, outputs=[payload]),
        v4.new_code_cell("3", execution_count=2, outputs=[failure]),
    ]
    path.write_text(nb.as_text(v4.new_notebook(cells=cells)), encoding="utf-8")
    report = " ".join(nb.problems(path))
    assert "in order" in report and "ValueError" in report and "payloads" in report


def imported(source: str) -> set[str]:
    """Top-level names of the packages that some Python source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def cells_of(path: Path) -> str:
    """The code of a notebook, without lines of IPython magic."""
    notebook = nb.nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))


def test_only_viz_draws():
    sources = {name(path): path.read_text(encoding="utf-8") for path in MODULES}
    sources |= {path.name: cells_of(path) for path in NOTEBOOKS}
    drawing = ("vggt_lite/viz/", "vggt_lite/evaluation/report_figures.py", "tools/stills.py")
    outside = {file: text for file, text in sources.items() if not file.startswith(drawing)}
    assert not [file for file, text in outside.items() if imported(text) & DRAWING]


def test_arrows_between_the_rooms_point_down_and_never_in_a_circle():
    """The contracts of pyproject.toml, which `make lint` checks too."""
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# What the class of a lesson may not ask: the answer would change what runs without showing in the code.
HIDDEN = re.compile(
    r"is_grad_enabled|is_inference_mode|cuda\.is_available|\.cuda\(|torch\.distributed|\bdist\."
)


def test_the_network_asks_neither_for_a_device_nor_for_gradients():
    """Files of the network and its losses hold what the paper says, so that what is read is what runs."""
    rooms = [ROOT / "vggt_lite" / room for room in ("geometry", "model", "losses", "metrics", "training")]
    files = [path for room in rooms for path in room.rglob("*.py") if path.name != "checkpoint.py"]
    texts = {
        name(path): path.read_text(encoding="utf-8") for path in files
    }  # a checkpoint holds a GPU's random state
    assert not {file: hit[0] for file, text in texts.items() if (hit := HIDDEN.search(text))}


def test_the_lessons_rooms_are_small_enough_to_be_built_in_lessons():
    rooms = [ROOT / "vggt_lite" / room for room in ("geometry", "model", "losses", "metrics", "training")]
    assert (
        sum(
            len(path.read_text(encoding="utf-8").splitlines())
            for room in rooms
            for path in room.rglob("*.py")
        )
        <= 5_000
    )


def public_names() -> list[tuple[str, object]]:
    """Every function and class of ours that a package's `__init__` offers."""
    packages = [info.name for info in pkgutil.walk_packages(vggt_lite.__path__, "vggt_lite.") if info.ispkg]
    found = {}
    for package in map(importlib.import_module, ["vggt_lite", *packages]):
        for key, value in vars(package).items():
            ours = getattr(value, "__module__", "").startswith("vggt_lite")
            if ours and not key.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return sorted(found.items())


def test_every_public_name_says_what_it_is_for():
    names = public_names()
    assert names, "the packages export nothing"
    docs = {key: (value.__doc__ or "").strip() for key, value in names}
    # a dataclass without a docstring gets its signature as one
    assert not [key for key, value in names if not docs[key] or docs[key].startswith(f"{value.__name__}(")]


def links() -> list[tuple[str, str]]:
    """(file, target) of every relative link and picture in our Markdown files."""
    found = []
    for file, text in MARKDOWN.items():
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        targets = re.findall(r"\]\(([^)\s]+)\)", prose)
        found += [(file, target) for target in targets if not re.match(r"https?:|mailto:|#", target)]
    return found


@pytest.mark.parametrize(("file", "target"), links(), ids=lambda value: value)
def test_links_between_our_files_lead_somewhere(file, target):
    assert ((ROOT / file).parent / target.split("#")[0]).exists()


def test_pictures_have_words_for_those_who_cannot_see_them():
    assert not [file for file, text in MARKDOWN.items() if re.search(r"!\[\s*\]\(", text)]


def test_the_contributing_guide_is_short_enough_to_be_read():
    assert len(MARKDOWN["CONTRIBUTING.md"].splitlines()) <= 120
