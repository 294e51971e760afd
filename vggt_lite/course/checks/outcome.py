"""What a check answers: passed, not yet, or not written yet, with a sentence that helps."""

import re
from dataclasses import dataclass
from html import escape

# Sign, words, and the colour of sign and margin (Okabe–Ito, 3 : 1 and more on white and on black). The words
# take the colour of the page, so they read in light and in dark mode, and nothing is told by colour alone.
STATES = {
    "passed": ("✓", "passed", "#009E73"),
    "wrong": ("✗", "not yet", "#D55E00"),
    "blank": ("○", "not written yet", "#757575"),
}


@dataclass(frozen=True)
class Outcome:
    """The answer of a `Check` or of `compare`. A notebook shows it as a small box; `print` shows it as text.

    Args:
        state: "passed", "wrong" or "blank" (nothing written yet).
        name: What was checked.
        message: What was found, one or two sentences. `Code` stands between backticks.
        mistake: The known wrong answer that was recognised, else None.
        hint: What to try next, else None; folded away in a notebook.
        difference: Largest difference that was found, where numbers could be compared.
    """

    state: str
    name: str
    message: str
    mistake: str | None = None
    hint: str | None = None
    difference: float | None = None

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    def __repr__(self) -> str:
        sign, words, _ = STATES[self.state]
        lines = [f"{sign} {self.name}: {words}. {self.message}"]
        if self.hint:
            lines.append(f"  Hint: {self.hint}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        sign, words, color = STATES[self.state]
        hint = f"<details><summary>Hint</summary>{as_html(self.hint)}</details>" if self.hint else ""
        return (
            f'<div style="border-left: 4px solid {color}; padding: 2px 12px; margin: 4px 0">'
            f'<b><span style="color: {color}">{sign}</span> {as_html(self.name)}: {words}.</b> '
            f"{as_html(self.message)}{hint}</div>"
        )


def as_html(text: str) -> str:
    """Text as HTML: escaped, with `code` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
