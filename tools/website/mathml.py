"""Formulas as MathML, which browsers draw by themselves: no script, nothing from another server."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def as_mathml(tex: str, block: bool) -> str:
    """MathML of a formula in LaTeX.

    Raises:
        docutils.utils.math.MathError: docutils does not know a command in it.
    """
    return tex2mathml(tex.replace("…", r"\ldots "), as_block=block)


def visit_inline(translator, node) -> None:
    translator.body.append(as_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(translator, node) -> None:
    translator.body.append(f'<div class="math">{as_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
