"""The teaching kit points to sections that exist, and its timetables add up."""

import re
from pathlib import Path

import pytest

from tests.notebooks.lesson import Lesson

ROOT = Path(__file__).resolve().parents[2]
TEACHING = ROOT / "teaching"
PAGES = {name: (TEACHING / f"{name}.md").read_text(encoding="utf-8") for name in ("answers", "syllabus")}
NOTEBOOKS = {path.name: Lesson(path) for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
# [03](../notebooks/03_attention_and_rope.ipynb) “Rotary positions: a position is an angle”
REFERENCE = re.compile(r"\[(\d\d)\]\(\.\./notebooks/(\w+\.ipynb)\) “([^”]+)”")
REFERENCES = [(page, *found) for page, text in PAGES.items() for found in REFERENCE.findall(text)]


def titles(lesson: Lesson) -> list[str]:
    """Headings without number signs and minutes."""
    return [re.sub(r" · \d+ min.*$| · [●○]+.*$", "", heading.lstrip("# ")) for heading in lesson.headings]


@pytest.mark.parametrize(("page", "number", "name", "heading"), REFERENCES)
def test_a_section_that_is_named_exists(page, number, name, heading):
    assert name.startswith(f"{number}_")
    assert heading in titles(NOTEBOOKS[name])


@pytest.mark.parametrize("page", PAGES)
def test_nothing_that_is_there_is_said_to_be_in_preparation(page):
    coming = set(re.findall(r"(\d\d) \(in preparation\)", PAGES[page]))
    assert not coming & {name[:2] for name in NOTEBOOKS}


def test_all_nineteen_needs_are_there_and_what_is_not_answered_says_so():
    rows = [line.split("|")[1:-1] for line in PAGES["answers"].splitlines() if re.match(r"\| \d", line)]
    assert {int(row[0]) for row in rows} == set(range(1, 20))
    for _, question, answer in rows:
        assert REFERENCE.search(answer) or "](../" in answer or "not yet answered" in answer, question


def test_the_table_of_lessons_repeats_the_minutes_of_the_cards():
    for name, lesson in NOTEBOOKS.items():
        row = rf"\[{name[:2]}\]\(\.\./notebooks/{name}\) \|[^|]+\| (\d+) \| (\d+) \|"
        found = re.search(row, PAGES["syllabus"])
        assert found, f"{name} is not in the table of lessons"
        card = re.search(r"\*\*Time\*\* (\d+) min reading, (\d+) min exercises", lesson.cells[0].source)
        assert card and card.groups() == found.groups(), name


def timetables() -> list[tuple[str, int, list[int]]]:
    """(heading, minutes it promises, minutes of its rows) of every timetable in the syllabus."""
    found = []
    for part in re.split(r"^### ", PAGES["syllabus"], flags=re.MULTILINE)[1:]:
        heading = part.splitlines()[0]
        if promised := re.search(r" · (\d+) min$", heading):
            rows = re.findall(r"^\| (\d+) \|", part, re.MULTILINE)
            found.append((heading, int(promised[1]), [int(minutes) for minutes in rows]))
    return found


NINETY = (TEACHING / "ninety_minutes.md").read_text(encoding="utf-8")


def test_the_ninety_minutes_follow_one_another_as_the_syllabus_has_them():
    spans = [(int(a), int(b)) for a, b in re.findall(r"^## (\d+) – (\d+) · ", NINETY, re.MULTILINE)]
    (rows,) = [rows for heading, _, rows in timetables() if heading.startswith("A taste")]
    assert [end - start for start, end in spans] == rows
    assert [start for start, _ in spans] == [sum(rows[:n]) for n in range(len(rows))]


def test_steps_of_the_ninety_minutes_add_up_to_their_parts():
    for start, end, part in re.findall(
        r"^## (\d+) – (\d+) · (.*?)(?=^## |\Z)", NINETY, re.MULTILINE | re.DOTALL
    ):
        if steps := [int(minutes) for minutes in re.findall(r"^\d\. \((\d+) min\)", part, re.MULTILINE)]:
            assert sum(steps) == int(end) - int(start), part


def test_sections_named_in_the_ninety_minutes_exist():
    for part in re.split(r"^## ", NINETY, flags=re.MULTILINE):
        if number := re.match(r"\d.*?notebook (\d\d)", " ".join(part.split())):
            (lesson,) = [lesson for name, lesson in NOTEBOOKS.items() if name.startswith(number[1])]
            for section in re.findall(r"“([^”]+)”", part):
                assert " ".join(section.split()) in titles(lesson), section


def test_numbers_quoted_in_the_ninety_minutes_are_those_that_notebook_00_prints():
    first = NINETY.partition("## 0 – 25")[2].partition("## 25 – 35")[0]
    quoted = set(re.findall(r"\b0\.\d{3}\b|(?<=AUC@30 )\d+|(?<=0\.120 and )\d+", first))
    outputs = [output for cell in NOTEBOOKS["00_quickstart.ipynb"].code for output in cell.outputs]
    printed = re.findall(r"\d+\.\d+", " ".join(output.get("text", "") for output in outputs))
    assert len(quoted) == 7
    for number in quoted:
        digits = len(number.partition(".")[2])
        assert any(f"{float(shown):.{digits}f}" == number for shown in printed), number


@pytest.mark.parametrize(("heading", "promised", "rows"), timetables())
def test_a_timetable_adds_up(heading, promised, rows):
    assert sum(rows) == promised


def test_sections_and_exercises_named_in_the_projects_exist():
    text = " ".join((TEACHING / "projects.md").read_text(encoding="utf-8").split())
    lessons = {name[:2]: lesson for name, lesson in NOTEBOOKS.items()}
    sections = re.findall(r"[Ll]esson (\d\d), “([^”]+)”", text)
    exercises = re.findall(r"[Ee]xercises? (\d+)\.(\d+)", text)
    assert len(sections) >= 4 and len(exercises) >= 5
    for number, section in sections:
        assert section in titles(lessons[number]), section
    for number, exercise in exercises:
        assert f"Exercise {number}.{exercise}" in titles(lessons[number.zfill(2)])


def numbered(page: str, pattern: str) -> list[str]:
    return re.findall(pattern, (TEACHING / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_lesson_has_notes():
    assert {path.stem for path in (TEACHING / "lesson_notes").glob("*.md")} == {n[:2] for n in NOTEBOOKS}


def test_the_quiz_has_three_questions_a_lesson_and_its_key_answers_each():
    asked = numbered("quiz.md", r"^- \*\*(\d\d\.\d)\*\*")
    assert asked == [f"{name[:2]}.{k}" for name in sorted(NOTEBOOKS) for k in (1, 2, 3)]
    assert numbered("key/quiz.md", r"^\| (\d\d\.\d) \|") == asked


def test_the_key_of_the_quiz_names_sections_that_exist():
    for number, section in numbered("key/quiz.md", r"^\| (\d\d)\.\d \| ([^|]+) \|"):
        named = re.fullmatch(r"(.+) \(lesson (\d\d)\)", section)
        section, number = named.groups() if named else (section, number)
        (name,) = [name for name in NOTEBOOKS if name.startswith(number)]
        assert section in titles(NOTEBOOKS[name]), (number, section)


def test_the_exam_questions_have_answers_in_the_key_and_nowhere_else():
    asked = {}
    for path in (TEACHING / "lesson_notes").glob("*.md"):
        _, _, question = path.read_text(encoding="utf-8").partition("Exam question: ")
        if question:
            asked[path.stem] = " ".join(question.split()).strip('"')
    key = dict(numbered("key/exam.md", r"^\| (\d\d) \| (.+?) \| "))
    assert asked == key and len(asked) >= 12
