"""Videos in, frames out: rate, sharpness, repetition, rotation, and what is said of broken files."""

import struct
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageFilter

from vggt_lite import load_images
from vggt_lite.data.video import video_frames

av = pytest.importorskip("av")
RATE = 10


def pictures(count: int, width: int = 64, height: int = 48) -> list[Image.Image]:
    """Different every time, with edges a codec keeps: blocks of 8 pixels."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (count, height // 8, width // 8, 3)).astype(np.uint8)
    return [Image.fromarray(x.repeat(8, 0).repeat(8, 1)) for x in blocks]


def encode(path, images, codec: str = "mpeg4", options: dict | None = None):
    """Write a video of `RATE` frames a second."""
    with av.open(str(path), "w", options=options or {}) as out:
        stream = out.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.time_base = Fraction(1, RATE)
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_image(image)))
        out.mux(stream.encode())
    return path


def test_frames_come_at_the_rate_asked_for_and_carry_their_time(tmp_path):
    path = encode(tmp_path / "walk.mp4", pictures(30))  # 3 seconds
    frames = video_frames(path, per_second=2)
    assert len(frames) == 6
    for number, frame in enumerate(frames):
        assert number / 2 - 1e-6 <= frame.seconds < (number + 1) / 2
        assert frame.name == f"walk_{frame.seconds:07.2f}s.png" and frame.image.size == (64, 48)
    assert len(video_frames(path, per_second=1)) == 3


def test_of_each_window_the_sharpest_frame_is_taken(tmp_path):
    images = [x.filter(ImageFilter.GaussianBlur(4)) for x in pictures(20)]
    images[3], images[17] = pictures(20)[3], pictures(20)[17]
    frames = video_frames(encode(tmp_path / "walk.mp4", images), per_second=1)
    assert [frame.seconds for frame in frames] == pytest.approx([0.3, 1.7])
    shown = np.asarray(frames[0].image, float)
    assert np.abs(shown - np.asarray(images[3], float)).mean() < 12  # of 255: what the codec loses


def test_a_camera_that_stands_still_gives_one_frame(tmp_path):
    still, moving = [pictures(1)[0]] * 20, pictures(31)[1:]
    frames = video_frames(encode(tmp_path / "walk.mp4", [*still, *moving]), per_second=2)
    assert frames[0].seconds < 0.5 and [frame.seconds >= 2 for frame in frames[1:]] == [True] * 6


# a, b, c, d of the matrix in a track's header (x' = a x + c y and y' = b x + d y, y down), and where a mark
# in the upper left corner of the stored picture is shown
TURNS = {
    "a quarter clockwise": ((0, 1, -1, 0), (1, 0)),
    "a quarter back": ((0, -1, 1, 0), (0, 1)),
    "half": ((-1, 0, 0, -1), (1, 1)),
}


@pytest.mark.parametrize(("matrix", "corner"), TURNS.values(), ids=TURNS)
def test_frames_are_upright(tmp_path, matrix, corner):
    """The header is written by hand, as phones write it: nothing here depends on how PyAV counts angles."""
    stored = Image.new("RGB", (64, 48), "black")
    stored.paste("white", (0, 0, 32, 24))
    path = encode(tmp_path / "walk.mp4", [stored] * RATE)
    content, one = path.read_bytes(), 1 << 16
    plain = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    place = content.index(plain, content.index(b"tkhd"))
    a, b, c, d = (one * x for x in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:place] + turned + content[place + len(turned) :])
    image = video_frames(path, per_second=1)[0].image
    assert image.size == ((48, 64) if matrix[0] == 0 else (64, 48))
    shown = np.asarray(image.convert("L").resize((2, 2), Image.Resampling.BOX)) > 128  # rows, columns
    assert np.argwhere(shown).tolist() == [[corner[1], corner[0]]]


def test_a_video_is_a_source_like_a_folder(tmp_path):
    path = encode(tmp_path / "walk.mov", pictures(20))
    batch = load_images(path, size=56, frames_per_second=1)
    assert len(batch) == 2 and batch.names[0].startswith("walk_0000.") and batch.names[0].endswith("s.png")
    assert len(load_images(path, size=56)) == 4
    with pytest.raises(ValueError, match="walk.mov is not a picture|walk.mov is a video"):
        load_images([path], size=56)


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.mp4 does not exist"):
        video_frames(tmp_path / "nowhere.mp4")
    text = tmp_path / "notes.mp4"
    text.write_text("not a video\n" * 100)
    with pytest.raises(ValueError, match="notes.mp4 is no video that can be read"):
        load_images(text)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match="empty.mp4 is no video"):
        video_frames(tmp_path / "empty.mp4")


def test_a_playlist_opens_no_further_files(tmp_path):
    encode(tmp_path / "private.ts", pictures(10), codec="mpeg2video")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "private.ts", "#EXT-X-ENDLIST"]
    (tmp_path / "list.mp4").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="list.mp4 is no video"):
        video_frames(tmp_path / "list.mp4")


def test_a_file_cut_off_before_its_index_is_refused(tmp_path):
    path = encode(tmp_path / "walk.mp4", pictures(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # the index stands at the end
    with pytest.raises(ValueError, match="walk.mp4 is no video that can be read, or was cut off"):
        video_frames(path)


def test_a_file_cut_off_after_its_index_is_refused(tmp_path):
    path = encode(tmp_path / "walk.mp4", pictures(60), options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"walk\.mp4 is (cut off: .* of 6\.0 seconds|damaged after)"):
        video_frames(path)


def test_a_damaged_file_is_never_a_surprise(tmp_path):
    """Noise in the middle: frames, or one line that says what is wrong."""
    path = encode(tmp_path / "walk.mp4", pictures(30))
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for part in range(1, 5):
        place = part * len(content) // 6
        content[place : place + 200] = rng.integers(0, 256, 200, dtype=np.uint8).tobytes()
        (tmp_path / "bad.mp4").write_bytes(content)
        try:
            assert video_frames(tmp_path / "bad.mp4")
        except ValueError as error:
            assert "bad.mp4" in str(error) and "\n" not in str(error)


def test_sound_without_pictures_is_refused(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(ValueError, match="song.mp4 holds no pictures, only audio"):
        video_frames(path)


def test_too_many_frames_name_the_rate_that_fits(tmp_path):
    path = encode(tmp_path / "walk.mp4", pictures(30))
    with pytest.raises(ValueError, match=r"more than 3\. Take 1 a second at most"):
        video_frames(path, per_second=2, most=3)
    assert len(video_frames(path, per_second=1, most=3)) == 3
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="give a number above 0"):
            video_frames(path, per_second=rate)


def test_without_pyav_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match=r"pip install 'vggt-lite\[video\]'"):
        load_images(encode(tmp_path / "walk.mp4", pictures(5)))
