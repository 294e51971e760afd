"""The site before Sphinx sees it: what becomes a page, links, pictures, buttons; and the cell for Colab."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import tasks
from tests.test_environment import EXTRAS
from tools import publishing, student
from tools.publishing import Repository, repository
from tools.website import build, check

ROOT = Path(__file__).resolve().parents[1]
ADA = Repository("ada", "vggt_lite")
LESSONS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build.gather(folder, None)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    build.gather(folder, ADA)
    return folder


def read(folder: Path, name: str) -> nbformat.NotebookNode:
    return nbformat.read(folder / "notebooks" / name, as_version=4)


def test_every_lesson_and_every_page_of_docs_is_there(sources):
    names = {path.relative_to(sources).as_posix() for path in sources.rglob("*")}
    assert {f"notebooks/{name}" for name in LESSONS} <= names and len(LESSONS) == 14
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= names
    assert {"README.md", "teaching/glossary.md", "teaching/equations.md", "index.md"} <= names
    assert not [name for name in names if "student" in name], "student copies are no pages"


def test_the_first_page_shows_the_map_a_reconstruction_and_all_lessons(sources):
    text = (sources / "index.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", text)
    assert pictures[0] == "notebooks/figures/network.svg" and len(pictures) == 2
    assert all((sources / picture).is_file() for picture in pictures)
    assert all(f"(notebooks/{name})" in text for name in LESSONS) and "{{" not in text


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_keeps_its_cells_and_gives_each_still_its_words(sources, name):
    lesson, shown = nbformat.read(ROOT / "notebooks" / name, as_version=4), read(sources, name)
    assert len(shown.cells) == len(lesson.cells)
    outputs = [output for cell in lesson.cells for output in cell.get("outputs", [])]
    alts = [o.metadata["image/png"]["alt"] for o in outputs if "image/png" in o.get("data", {})]
    seen = [o.data for cell in shown.cells for o in cell.get("outputs", []) if "data" in o]
    stills = [found for data in seen if (found := PICTURE.fullmatch(data.get("text/markdown", "")))]
    assert [re.sub(r"\\(.)", r"\1", still[1]) for still in stills] == alts and alts
    assert all((sources / "notebooks" / still[2]).stat().st_size > 100 for still in stills)
    assert not [data for data in seen if "image/png" in data]


PICTURE = re.compile(r"!\[((?:\\.|[^\[\]\\])+)\]\((stills/\d\d_\d\d\.png)\)", re.DOTALL)


def test_solutions_are_folded(sources):
    for name in LESSONS:
        hidden = {c.id for c in read(sources, name).cells if "hide-cell" in c.metadata.get("tags", [])}
        lesson = nbformat.read(ROOT / "notebooks" / name, as_version=4)
        code = [cell for cell in lesson.cells if cell.cell_type == "code"]
        assert {c.id for c in code if "solution" in c.metadata.get("tags", [])} <= hidden, name


def test_links_to_code_lead_to_its_page_and_links_to_folders_are_plain_words():
    linked = set()
    pages = {"docs/evaluation.md"}
    text = "[a](evaluation.md#b) [x.py:7](../vggt_lite/config.py#L7) [all](../data) [key](../teaching/key.md)"
    found = build.page(text + " `[c](no.py)` [p](https://x.y)", "docs/scaling.md", pages, linked)
    link = '<a href="../source/vggt_lite/config.html#L7">x.py:7</a>'
    assert found == f"[a](evaluation.md#b) {link} all key `[c](no.py)` [p](https://x.y)"
    assert linked == {"vggt_lite/config.py"}


def test_answers_for_teachers_are_no_pages(tmp_path):
    for name in ("README.md", "teaching/notes/03.md", "teaching/quiz_key.md", "teaching/solutions/03.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# Title", encoding="utf-8")
    assert build.pages_of(tmp_path) == {"README.md", "teaching/notes/03.md"}


def test_without_a_repository_there_are_no_buttons_and_with_one_each_lesson_has_three(sources, published):
    texts = {path: path.read_text(encoding="utf-8") for path in sources.rglob("*.ipynb")}
    assert not [path for path, text in texts.items() if "site-buttons" in text]
    for name in LESSONS:
        buttons = read(published, name).cells[1].source
        copy = f"notebooks/student/{name}"
        assert f"https://colab.research.google.com/github/ada/vggt_lite/blob/main/{copy}" in buttons
        assert "https://codespaces.new/ada/vggt_lite" in buttons
        assert f'href="student/{name}" download' in buttons and (ROOT / copy).is_file()


def test_the_settings_of_this_repository_can_be_read():
    assert repository() is None or isinstance(repository(), Repository)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('owner = "ada"', "takes owner"),
        ('owner = "ada"\nname = 3', "both text"),
        ('owner = "ada"\nname = ""', "name = ''"),
        ('owner = "ada/b"\nname = "c"', "owner = 'ada/b'"),
        ("owner = ada", "site.toml"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, text, said):
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(said)):
        repository(path)


def test_settings_are_read(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('owner = "ada"\nname = "vggt_lite"', encoding="utf-8")
    assert repository(path) == ADA
    path.write_text('owner = ""\nname = ""', encoding="utf-8")
    assert repository(path) is None


def test_the_site_installs_the_extra_that_pyproject_names():
    assert tasks.requirements_of("site") == EXTRAS["site"]


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.html").write_text('<p id="here">', encoding="utf-8")
    good = '<a href="b/b.html#here"></a><a href="#top"></a><a id="top"></a><a href="https://x.y/no"></a>'
    (tmp_path / "a.html").write_text(good, encoding="utf-8")
    assert check.broken_links(tmp_path) == []
    bad = '<a href="b/b.html#gone"></a><img src="no.png"><a href="#gone"></a>'
    (tmp_path / "a.html").write_text(good + bad, encoding="utf-8")
    assert check.broken_links(tmp_path) == ["a.html: b/b.html#gone", "a.html: no.png", "a.html: #gone"]


def test_the_cell_for_colab_comes_first_in_a_published_student_copy_and_stands_in_the_docs():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    copy = student.student_copy(notebook, "03_x.ipynb", published=ADA)
    assert [cell.source for cell in copy.cells[1:]] == [ADA.colab_cell, "print(1)"]
    assert len(student.student_copy(notebook, "03_x.ipynb").cells) == 2
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    assert Repository("OWNER", "NAME").colab_cell in page


def test_the_cell_for_colab_pins_nothing_and_names_nothing_that_colab_has():
    assert "==" not in ADA.colab_cell
    lines = [line for extra in publishing.EXTRAS.split(",") for line in EXTRAS[extra]]
    assert not [line for line in lines if "==" in line or re.match(r"(torch|numpy|scipy|pillow)\b", line)]


# A stand-in for Colab: its module is there, GitHub is this checkout, pip says what it would do.
IN_COLAB = """
import os, sys, types
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
if os.environ["IN_COLAB"] == "yes":
    colab, output = types.ModuleType("google.colab"), types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: print("WIDGETS")
    colab.output = output
    sys.modules.update({"google": types.ModuleType("google"), "google.colab": colab})
done = shell.run_cell(os.environ["CELL"])
done.raise_error()
print("AT", os.getcwd())
"""


@pytest.mark.parametrize("place", ["Colab", "elsewhere"])
def test_the_cell_fetches_the_repository_in_colab_and_does_nothing_elsewhere(tmp_path, place):
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout to clone")
    pytest.importorskip("setuptools", "77")
    git = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf"}
    git |= {"GIT_CONFIG_VALUE_0": ADA.url, "IPYTHONDIR": str(tmp_path / "ipython")}
    pip = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_QUIET": "0"}
    pip |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # To read what pip would do, and to build with what is here
    cell = ADA.colab_cell.replace("%pip install --quiet", "%pip install --no-build-isolation")
    env = {**os.environ, **git, **pip, "CELL": cell, "IN_COLAB": "yes" if place == "Colab" else "no"}
    command = [sys.executable, "-c", IN_COLAB]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    copy = tmp_path / "vggt_lite" / "notebooks" / "student"
    if place == "elsewhere":
        assert done.stdout.split() == ["AT", str(tmp_path)] and not copy.exists()
    else:
        assert (copy / LESSONS[0]).is_file() and "WIDGETS" in done.stdout and f"AT {copy}" in done.stdout
        assert re.findall(r"Would install (.*)", done.stdout) == ["vggt-lite-0.1.0"], (
            done.stdout + done.stderr
        )
