"""The table of durations lists every notebook and says what was measured."""

from tools import durations


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
