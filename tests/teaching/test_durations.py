"""The table of durations lists every notebook, says what was measured, and keeps the budgets."""

from tools import durations

BUDGETS = {"09": 240}  # seconds in fast mode; the lesson that trains


def test_every_notebook_was_measured_and_the_table_says_so():
    assert not durations.problems()


def test_notebooks_keep_to_their_budget_in_fast_mode():
    measured = durations.load()["notebooks"]
    seconds = {name: found["fast"]["seconds"] for name, found in measured.items()}
    assert not {name: s for name, s in seconds.items() if s > BUDGETS.get(name[:2], 120)}


def test_a_notebook_without_a_measurement_and_a_stale_table_are_noticed(monkeypatch):
    report = durations.load()
    name, found = report["notebooks"].popitem()
    found["full"]["seconds"] += 5
    monkeypatch.setattr(durations, "load", lambda: report)
    problems = durations.problems()
    assert f"{name} was never measured" in problems
    assert any("out of step" in problem for problem in problems)
