"""The table of durations lists every notebook and says what was counted and what was measured."""

import nbformat

from tools import durations, lessons
from vggt_lite.course.checks import attention


def test_every_notebook_was_measured_and_the_table_says_so():
    assert not durations.problems()


def test_a_notebook_without_a_measurement_and_a_stale_table_are_noticed(monkeypatch):
    report = durations.load()
    name, found = report["notebooks"].popitem()
    found["full"]["seconds"] += 5
    monkeypatch.setattr(durations, "load", lambda: report)
    problems = durations.problems()
    assert f"{name} was never measured" in problems
    assert any("out of step" in problem for problem in problems)


def test_what_a_learner_meets_is_counted(tmp_path):
    v4, path = nbformat.v4, tmp_path / "03_counted.ipynb"
    still = v4.new_output("display_data", data={"image/png": "", "text/plain": "A figure."})
    secret = v4.new_markdown_cell("Four words of solution.")
    secret.metadata["tags"] = ["solution"]
    cells = [
        v4.new_markdown_cell(
            "# 03 · Two words\n\n![not these](figures/network.svg) `code` three\n\n```\nnor this\n```"
        ),
        v4.new_code_cell('# why\nx = 1\n\ndef f():\n    """Two."""\n    return x'),
        v4.new_code_cell("viz.show(\n    x\n)", outputs=[still]),
        v4.new_code_cell("later = 1"),
        v4.new_markdown_cell("### Exercise 3.1 · ●○○ · 5 min\n\nWrite."),
        v4.new_code_cell("checks.attention.attention_weights(my_attention_weights)"),
        v4.new_code_cell("checks.attention.attention_weights(my_attention_weights)"),
        secret,
        v4.new_markdown_cell("### Exercise 3.2 · ●○○ · 5 min\n\nExplain."),
    ]
    nbformat.write(v4.new_notebook(cells=cells), path)
    counted = lessons.size(path)
    assert counted.words == len("Two words `code` three Exercise min Write. Exercise min Explain.".split())
    assert counted.lines_to_figure == 3 + 3
    assert (counted.exercises, counted.checks) == (2, 1)
    assert counted.wrong_answers == len(attention.attention_weights.mutants) > 3


def test_a_card_promises_the_sum_of_its_sections_and_of_its_exercises(monkeypatch):
    headings = [
        "# 03 · x",
        "## The question",
        "## A · 12 min",
        "## B · 7 min",
        "### Exercise 3.1 · ●○○ · 5 min",
    ]
    headings += ["### Exercise 3.2 · ●●○ · 15 min, explain", "## Recap"]
    cells = [nbformat.v4.new_markdown_cell("\n\n".join(headings))]
    assert lessons.minutes(cells) == (20, 20)
    notes = durations.ROOT / "teaching" / "lesson_notes" / "05.md"
    monkeypatch.setattr(lessons, "minutes", lambda cells: (123, 45))
    pages = durations.pages()
    assert "123 min reading, 45 min exercises" in " ".join(pages[notes].split())
    assert "**Time** 123 min reading, 45 min exercises" in pages[durations.path_of("05_camera_head")]
    assert "| How does a token become a camera? | 123 | 45 |" in pages[durations.PAGE]


def test_minutes_are_those_of_150_words_a_minute():
    assert lessons.Size(1500, 0, 0, 0, 0).minutes == 10
