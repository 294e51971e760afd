"""The code of the package, shown where a lesson has just derived it, so that no copy can go stale."""

import inspect
import textwrap
from pathlib import Path

import vggt_lite

ROOT = Path(vggt_lite.__file__).resolve().parents[1]


def show_source(*objects) -> None:
    """Show the source of functions, classes, methods or modules in a notebook, as code with its file's name.

    Raises:
        TypeError: Python has no source for it (a value, or something built in).
    """
    try:
        from IPython.display import display
    except ImportError as error:
        raise ImportError(
            "show_source shows code in notebooks: pip install -e '.[notebook]'. Elsewhere: inspect.getsource."
        ) from error
    for thing in objects:
        text, file = source_of(thing)
        markdown = f"`{file}`\n\n```python\n{text}\n```"
        display({"text/markdown": markdown, "text/plain": f"# {file}\n{text}"}, raw=True)


def source_of(thing) -> tuple[str, str]:
    """The source of a function, class, method or module, unindented, and its file's name."""
    try:
        text = textwrap.dedent(inspect.getsource(thing)).rstrip()
        path = Path(inspect.getsourcefile(inspect.unwrap(thing) if callable(thing) else thing)).resolve()
    except (TypeError, OSError) as error:
        raise TypeError(
            f"there is no source for {type(thing).__name__} {thing!r:.60}; give a function, class, method or "
            "module, for example show_source(vggt_lite.model.Attention)."
        ) from error
    return text, path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
