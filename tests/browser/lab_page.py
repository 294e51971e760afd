"""What every test of a notebook in JupyterLab does: open it, run all of it, look."""

import io

import nbformat
from PIL import Image

PATIENCE = 240_000  # ms; a busy machine without a GPU draws slowly, but must get there
PROMPTS = "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.innerText)"
STARTED = f"() => ({PROMPTS})().some(text => /\\[(\\*|\\d+)\\]/.test(text))"
# Cells that wait show [ ] or [*]; a folded one, such as a solution, shows nothing.
DONE = f"() => !({PROMPTS})().some(text => /\\[[ *]\\]/.test(text))"


def write_notebook(lab, name: str, sources: list[str]) -> None:
    """A notebook of code cells in the folder that Lab serves; sources come without outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text.strip()) for text in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.folder / "notebooks" / name)


def cells_with(lab, name: str, words: list[str]) -> list[str]:
    """Of a lesson's code cells, the first that holds each of `words`: a figure and what it needs."""
    lesson = nbformat.read(lab.folder / "notebooks" / name, as_version=4)
    code = [cell.source for cell in lesson.cells if cell.cell_type == "code"]
    return [next(source for source in code if word in source) for word in words]


def open_notebook(page, lab, name: str) -> None:
    """Open one of Lab's notebooks and wait for its kernel."""
    page.goto(f"{lab.url}/lab/tree/notebooks/{name}?reset&token={lab.token}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator("text=/\\| Idle/").first.wait_for(timeout=PATIENCE)  # the status bar: the kernel is there


def clear_outputs(page) -> None:
    """Drop the saved outputs, so that what is seen afterwards was made afterwards."""
    page.click("#jp-MainMenu >> text=Edit")
    page.locator("li[data-command='editmenu:clear-all']").click()
    page.wait_for_function(f"() => !({STARTED})()")


def run_all(page) -> None:
    """Run All. Lab silently loses a command sent too early, so look, and send it again."""
    for _ in range(5):
        page.click("#jp-MainMenu >> text=Run")
        page.locator("li[data-command='runmenu:run-all']").click()
        try:
            page.wait_for_function(STARTED, timeout=10_000)
        except Exception as error:
            if "Timeout" not in str(error):
                raise
            continue
        page.wait_for_function(DONE, timeout=PATIENCE)
        return
    raise AssertionError("Run All never started")


def wait_for_traces(page, figure: str):
    """The first figure at this selector, once it holds its data: a widget begins as empty axes."""
    there = "figure => (document.querySelector(figure)?.data || []).length > 0"
    page.wait_for_function(there, arg=figure, timeout=PATIENCE)
    return page.locator(figure).first


def number_of_colors(plot) -> int:
    """How many colours a drawn plot shows: an empty canvas has a handful."""
    picture = Image.open(io.BytesIO(plot.screenshot(timeout=PATIENCE))).convert("RGB").resize((200, 140))
    return len(picture.getcolors(200 * 140))


def assert_no_upload(page) -> None:
    """No figure on the page offers to send itself to plotly's servers (the empty axes of a new widget do)."""
    look = "all => all.map(button => button.getAttribute('data-title'))"
    for _ in range(100):
        titles = page.locator(".modebar-btn").evaluate_all(look)
        if any("PNG" in title for title in titles) and not any("Share" in title for title in titles):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"the buttons of the figures are {titles}")
