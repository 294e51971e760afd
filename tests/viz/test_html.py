"""The stand-alone page: one file, nothing fetched, nothing broken by odd names."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from vggt_lite.viz import Cloud, metrics_table, write_html, write_page
from vggt_lite.viz.html import scene_section


@pytest.fixture(scope="module")
def section(scene) -> str:
    return scene_section(replace(scene, names=["a</script><b>", "b&b", "ü"]), scene, "metres")


def data_of(section: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', section, re.DOTALL)[1])


def test_a_page_is_one_file_that_fetches_nothing(scene, tmp_path):
    path = write_html(scene, tmp_path / "out" / "index.html", title="A <b> page")
    text = path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]
    own = text.replace(re.search(r"<script>/\*\*.*?</script>", text, re.DOTALL)[0], "")  # without plotly.js
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\(|@import|fetch\(|https?:""", own)
    assert "<title>A &lt;b&gt; page</title>" in own
    assert text.count("plotly.js v") >= 1 and len(own) < 1_000_000


def test_no_figure_of_a_page_has_a_button_that_uploads_it(scene, tmp_path):
    text = write_html(scene, tmp_path / "index.html").read_text(encoding="utf-8")
    script = text[text.rindex("<script>") :]
    assert 'const CONFIG = {"showSendToCloud": false' in script
    assert script.count("newPlot(") + script.count("react(") == script.count("layout, CONFIG)") > 0


def test_names_cannot_break_the_page(section):
    outside = section.split("<script")[0] + section.split("</script>")[1]  # plotly escapes its own labels
    assert "<b>" not in outside
    assert section.count("<script") == section.count("</script>") == 1
    assert "a&lt;/script&gt;&lt;b&gt;" in section


def test_the_points_of_the_page_are_the_points_of_the_scene(section, scene):
    figures = data_of(section)["figures"]
    packed, cloud = figures[0]["clouds"]["depth"], Cloud.of(scene, "depth")
    x = np.frombuffer(base64.b64decode(packed["x"]), "<f4")
    rank = np.frombuffer(base64.b64decode(packed["rank"]), "u1")
    shown = cloud.select()
    np.testing.assert_array_equal(x, cloud.points[shown, 0])
    np.testing.assert_array_equal(rank, np.floor(cloud.rank[shown]))  # whole per cent: the slider's steps
    assert rank.min() < 5 and rank.max() > 95
    assert figures[0]["data"][0]["x"] == []


def test_a_page_says_that_it_draws_a_sample_and_of_how_many_points(scene, monkeypatch):
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "20000")
    text = scene_section(scene)
    packed = data_of(text)["figures"][0]["clouds"]["depth"]
    assert "a sample of" not in text and packed["total"] == 3 * 24 * 32
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "100")
    assert "a sample of 100 of 2,304 points" in scene_section(scene)


def test_padding_is_clear_in_every_map(scene):
    valid = scene.valid.clone()
    valid[:, :5] = False
    section = scene_section(replace(scene, valid=valid))
    pictures = re.findall(r'<img alt="(\w+) of view 1" src="data:image/png;base64,([^"]+)"', section)
    assert [name for name, _ in pictures] == ["depth", "confidence"]
    for _, data in pictures:
        alpha = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))[..., 3]
        assert (alpha[:5] == 0).all() and (alpha[5:] == 255).all()


def test_truth_gets_a_figure_of_its_own_in_the_same_frame(section, scene):
    ours, truth = data_of(section)["figures"]
    assert ours["layout"]["scene"]["xaxis"]["range"] == truth["layout"]["scene"]["xaxis"]["range"]
    assert len(data_of(scene_section(scene))["figures"]) == 1
    assert "metres" in section and "true depth" in section


def test_every_picture_has_words(section):
    images = re.findall(r"<img[^>]*>", section)
    assert len(images) == 12 and all(re.search(r'alt="[^"]+"', image) for image in images)  # 4 rows × 3 views


def test_metrics_stand_in_a_table_beside_their_baseline():
    table = metrics_table({"AbsRel": {"model": 0.1234, "constant": 0.5}, "views": 4})
    assert "0.123" in table and "0.5" in table and "<th>constant</th>" in table and ">4<" in table
    assert metrics_table({}) == ""


@pytest.mark.parametrize("evil", ["<!--<script>", "</style></script>'\"><b onload=a()>"])
def test_no_name_title_unit_or_metric_becomes_markup(scene, tmp_path, evil):
    def tags(evil: str) -> list[str]:
        named = replace(scene, names=[evil, "b", "c"])
        made = {"metrics": {evil: {evil: evil}}, "title": evil, "unit": evil}
        text = write_html(named, tmp_path / "page.html", scene, **made).read_text(encoding="utf-8")
        return re.findall(r"<[!a-z/][^\s>]*", text)

    assert tags(evil) == tags("plain")


def test_a_part_that_is_no_markup_is_text_and_no_inline_script_may_run(tmp_path):
    text = write_page(tmp_path / "page.html", "t", ["<b>", Markup("<i>")]).read_text(encoding="utf-8")
    assert "&lt;b&gt;" in text and "<i>" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert (
        "default-src &#39;none&#39;" in policy and "unsafe" not in policy.split("script-src")[1].split(";")[0]
    )
