"""The command and the page: what is written holds what was measured, and nothing from outside."""

import json
import re

import pytest

from vggt_lite.cli.main import main
from vggt_lite.evaluation import Report, bundled_report
from vggt_lite.evaluation.report_page import accuracy, write_report_page


def report(auc=50.0, text="a protocol", **changes) -> Report:
    scenes = [
        {"name": f"s{i}", "group": "g", "frames": ["<b>.jpg"], "model": {"auc_30": auc + i}, "constant": {}}
        for i in (-1, 0, 1)
    ]
    protocol = {"text": text, "data": "co3d", "unit": "m", "hardware": "a <fast> one", "seconds": 2.0}
    histogram = [2, 1, *[0] * 27, 1, *[0] * 151]
    return Report.of_scenes(
        scenes, protocol | changes, dict.fromkeys(("rotation", "translation", "larger"), histogram)
    )


def test_the_curve_is_the_share_below_each_degree():
    curve = accuracy(report().histograms["larger"])
    assert curve[:3].tolist() == [50, 75, 75] and curve[28:].tolist() == [75, 100]


def figures_of(reports: dict, folder) -> list[dict]:
    page = write_report_page(reports, folder / "page.html").read_text(encoding="utf-8")
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]


def test_what_is_drawn_is_what_was_measured(tmp_path):
    both, rotation, _, spread = figures_of({"one": report(), "two": report(70.0)}, tmp_path)
    assert [trace["name"] for trace in both["data"]] == ["one", "two"]
    assert rotation["data"][0]["name"] == "one (0 % beyond 30°)"
    mean, scenes = spread["data"][:2]
    assert mean["x"] == [50] and scenes["x"] == [49, 50, 51] and 0 < mean["error_x"]["array"][0] <= 1
    kinds, *_ = figures_of({"one": report()}, tmp_path)
    assert [trace["name"] for trace in kinds["data"]] == [
        "both within",
        "rotation within",
        "direction within",
    ]


def test_a_page_shows_all_reports_their_protocols_and_frames_and_fetches_nothing(tmp_path):
    file = write_report_page({"one": report(), "<two>": report(70.0)}, tmp_path / "page.html")
    text = file.read_text(encoding="utf-8")
    own = text.replace(re.search(r"<script>/\*\*.*?</script>", text, re.DOTALL)[0], "")
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|@import|fetch\(""", own)
    assert "50.0" in own and "70.0" in own and "[49." in own and "a &lt;fast&gt; one" in own
    assert "<two>" not in re.sub(r"<script.*?</script>", "", own, flags=re.DOTALL)
    assert "&lt;b&gt;.jpg" in own and "different protocols" not in own
    other = write_report_page({"one": report(), "two": report(text="another")}, tmp_path / "other.html")
    assert "different protocols" in other.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="at least one"):
        write_report_page({}, tmp_path / "none.html")


def test_the_committed_report_is_still_read_and_drawn(tmp_path):
    nano = bundled_report("nano")
    assert "| pose AUC@30 | ↑ |" in nano.to_markdown() and nano["auc_30"] > 60
    text = write_report_page({"nano": nano}, tmp_path / "nano.html").read_text(encoding="utf-8")
    assert f"{nano['auc_30']:.1f}" in text


def test_the_command_writes_report_and_page_and_draws_several_side_by_side(tmp_path, capsys):
    json_file, page = tmp_path / "a.json", tmp_path / "a.html"
    command = ["evaluate", "--weights", "nano", "--scenes", "3", "--views", "2", "--out", str(json_file)]
    assert main([*command, "--page", str(page)]) == 0
    content = json.loads(json_file.read_text(encoding="utf-8"))
    assert len(content["scenes"]) == 3 and sum(content["histograms"]["larger"]) == 3
    weights = content["protocol"]["weights"]
    assert weights["file"] == "nano.safetensors" and re.fullmatch("[0-9a-f]{64}", weights["sha256"])
    mean = sum(scene["model"]["depth_abs_rel"] for scene in content["scenes"]) / 3
    assert content["model"]["depth_abs_rel"] == pytest.approx(mean, rel=1e-4)
    report(60.0).save(tmp_path / "b.json")
    both = tmp_path / "both.html"
    assert main(["report", str(json_file), str(tmp_path / "b.json"), "--out", str(both)]) == 0
    assert "<th>a</th>" in both.read_text(encoding="utf-8") and page.exists()
    capsys.readouterr()
    assert main(["evaluate", "--data", "dtu"]) == 2 and "--root belong together" in capsys.readouterr().err
    assert main(["evaluate", "--data", "dtu", "--root", str(tmp_path)]) == 2
    assert "MVS Data" in capsys.readouterr().err


WRONG = (None, "x", 1, -1.5, [], {}, [1], {"a": "b"}, float("nan"), 10**400, [["x"]])


def places(value: object, before: tuple = ()) -> list[tuple]:
    """Where a value stands in a JSON text: the keys that lead to it; of lists only the first item."""
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:1] if isinstance(value, list) else ())
    )
    return [before, *(place for key, item in inner for place in places(item, (*before, key)))]


def test_whatever_stands_in_a_report_it_is_drawn_or_refused_by_its_name(tmp_path, monkeypatch):
    report().save(tmp_path / "good.json")
    text, path = (tmp_path / "good.json").read_text(encoding="utf-8"), tmp_path / "bad.json"
    monkeypatch.setattr("vggt_lite.evaluation.report_page.write_page", lambda path, title, parts: list(parts))
    refused, drawn = 0, 0
    for place in places(json.loads(text)):
        for value in WRONG:
            content = {"": json.loads(text)}
            *to, last = ("", *place)
            inner = content
            for key in to:
                inner = inner[key]
            inner[last] = value
            path.write_text(json.dumps(content[""]), encoding="utf-8")
            try:
                found = Report.load(path)
            except ValueError as error:
                assert "bad.json is no report" in str(error), place
                refused += 1
            else:
                assert found.to_markdown(), place
                if value in WRONG[-3:]:  # drawing takes a fifth of a second
                    drawn += bool(write_report_page({"one": found}, path))
    assert refused > 150 and drawn > 5, (refused, drawn)
    for broken in ("[" * 100_000, "", "null", text[:-9], "\0"):
        path.write_text(broken, encoding="utf-8")
        with pytest.raises(ValueError, match="bad.json is no report"):
            Report.load(path)


@pytest.mark.parametrize("evil", ["<!--<script>", "</script>'\"><img src=x onerror=a()>"])
def test_no_text_of_a_report_becomes_markup(evil, tmp_path):
    bad = report(text=evil, unit=evil, data=evil, hardware=evil, weights={evil: evil})
    for scene in bad.scenes:
        scene |= {"name": evil, "group": evil, "frames": [evil]}
    text = write_report_page({evil: bad}, tmp_path / "page.html", title=evil).read_text(encoding="utf-8")
    plain = write_report_page({"x": report()}, tmp_path / "plain.html").read_text(encoding="utf-8")
    tags, plain_tags = ([*re.findall(r"<[!a-z/][^\s>]*", page)] for page in (text, plain))
    assert set(tags) <= set(plain_tags) and tags.count("<script") == plain_tags.count("<script")
    assert not re.search(
        r"<[^>]*\son\w+=", text.replace(re.search(r"<script>/\*\*.*?</script>", text, re.S)[0], "")
    )
