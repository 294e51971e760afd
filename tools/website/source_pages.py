"""A page for every Python file that is linked or documented, with an anchor L12 at line 12."""

from html import escape
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def page_of(file: str) -> str:
    """The page of a file, both without the repository's folder; the page also without its ending."""
    return f"source/{file.removesuffix('.py')}"


def pages(app):
    """Every Python file among the gathered sources, as Sphinx wants further pages."""
    root = Path(app.srcdir)
    formatter = HtmlFormatter(linenos="inline", anchorlinenos=True, lineanchors="L", cssclass="highlight")
    for path in sorted(root.rglob("*.py")):
        file = path.relative_to(root).as_posix()
        code = highlight(path.read_text(encoding="utf-8"), PythonLexer(), formatter)
        code = code.replace('id="L-', 'id="L').replace('name="L-', 'name="L').replace('href="#L-', 'href="#L')
        yield page_of(file), {"title": file, "body": f"<h1>{escape(file)}</h1>{code}"}, "page.html"


def setup(app) -> None:
    app.connect("html-collect-pages", pages)
