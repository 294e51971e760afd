"""What the wheel must hold, and that one with too little or too much is refused. CI builds it and uses it."""

import pytest

from tools.check_wheel import DATA, MAX_BYTES, ROOT, problems

MODULES, TEMPLATES = ["vggt_lite/__init__.py"], ["vggt_lite/viz/templates/page.html"]
WHOLE = [*MODULES, *TEMPLATES, *DATA, "vggt_lite-0.1.0.dist-info/METADATA"]


def test_a_whole_wheel_passes():
    assert not problems(WHOLE, 29_000_000, MODULES, TEMPLATES)
    assert all((ROOT / name).is_file() for name in DATA)


@pytest.mark.parametrize("name", [*MODULES, *TEMPLATES, *DATA])
def test_a_wheel_without_one_of_its_files_is_refused(name):
    (problem,) = problems([other for other in WHOLE if other != name], 0, MODULES, TEMPLATES)
    assert name in problem and "missing" in problem


def test_a_wheel_with_logs_tests_or_too_many_bytes_is_refused():
    extra = ["vggt_lite/pretrained/bundled/tiny_log.jsonl", "tests/conftest.py"]
    assert len(problems([*WHOLE, *extra], MAX_BYTES + 1, MODULES, TEMPLATES)) == 3
