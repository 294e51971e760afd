"""The teacher's archive holds solutions and keys; what learners get holds neither."""

import zipfile
from pathlib import Path

from tools import solutions

ROOT = Path(__file__).resolve().parents[2]
KEYS = sorted((ROOT / "teaching" / "key").glob("*.md"))


def test_the_archive_holds_every_solved_lesson_and_every_key(tmp_path, capsys):
    target = tmp_path / "solutions.zip"
    assert solutions.main([str(target)]) == 0
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        lesson = archive.read("notebooks/03_attention_and_rope.ipynb")
    assert lesson == (ROOT / "notebooks" / "03_attention_and_rope.ipynb").read_bytes()
    wanted = [*(ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"), *KEYS]
    assert len(KEYS) == 2 and {path.relative_to(ROOT).as_posix() for path in wanted} <= set(names)
    assert not [name for name in names if "student" in name]
    first = target.read_bytes()
    assert solutions.main([str(target)]) == 0 and target.read_bytes() == first
    assert "written" in capsys.readouterr().out


def test_another_kind_of_file_is_refused(tmp_path, capsys):
    assert solutions.main([str(tmp_path / "solutions.tar")]) == 2
    assert ".zip" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_answers_stand_in_the_keys_only():
    """The first words of each answer in a key occur in no public page of the teaching kit."""
    public = [path for path in (ROOT / "teaching").rglob("*.md") if path not in KEYS]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in public)
    rows = [line.split(" | ") for key in KEYS for line in key.read_text(encoding="utf-8").splitlines()]
    answers = [row[-1].removesuffix(" |") for row in rows if len(row) == 3 and row[-1] != "answer |"]
    assert len(answers) > 10
    assert not [answer for answer in answers if len(answer) > 25 and answer[:25] in text]
