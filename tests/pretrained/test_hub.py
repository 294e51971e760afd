"""Weights from the hub, through its own client, against a stand-in on this machine: faults included."""

import errno
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from tests.pretrained.hub_stand_in import COMMITS, GOOD_TOKEN, POOR_TOKEN, HubStandIn
from vggt_lite import NANO, VGGT
from vggt_lite.config import VGGT_1B
from vggt_lite.pretrained import hub, load_pretrained, save_weights, to_official
from vggt_lite.pretrained.releases import RELEASES, Release, release_of

SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)
NAME = "someone/small"


def new_session() -> None:
    """The client keeps connections and proxies of its first call."""
    getattr(huggingface_hub, "close_session", lambda: None)()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> bytes:
    """The bytes of a small weight file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(VGGT(SMALL), path)
    return path.read_bytes()


@pytest.fixture
def site(monkeypatch, tmp_path, weights):
    """The stand-in, holding `weights` as someone/small, in the place of the real hub."""
    for variable in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "announced", set())
    with HubStandIn() as stand_in:
        stand_in.add(NAME, {"model.safetensors": weights})
        monkeypatch.setattr(constants, "ENDPOINT", stand_in.url)
        template = stand_in.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        new_session()
        yield stand_in
    new_session()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def left_in(cache: Path) -> list[str]:
    """Names of everything that could pass for weights, whole or not; the client's own notes aside."""
    files = [path for path in cache.rglob("*") if path.is_file() or path.is_symlink()]
    return [path.name for path in files if "blobs" in path.parts or "snapshots" in path.parts]


def test_weights_are_downloaded_once_and_found_again(site, cache, weights):
    model = load_pretrained(NAME, cache=cache)
    assert model.config == SMALL and len(site.gets()) == 1
    path = hub.fetch(NAME, cache=cache)
    assert path.read_bytes() == weights and path.name == "model.safetensors"
    assert len(site.gets()) == 1, "downloaded again although nothing had changed"
    assert sorted(left_in(cache)) == sorted(["model.safetensors", path.resolve().name])
    assert path == Path(huggingface_hub.hf_hub_download(NAME, "model.safetensors", cache_dir=cache))


def test_a_repository_without_safetensors_gives_its_torch_file(site, cache, tmp_path):
    small = VGGT(SMALL)
    torch.save(to_official(small.state_dict()), tmp_path / "model.pt")
    site.add("someone/old", {"model.pt": (tmp_path / "model.pt").read_bytes()})
    model = load_pretrained("someone/old", SMALL, cache=cache)
    torch.testing.assert_close(model.state_dict(), small.state_dict(), rtol=0, atol=0)


def test_a_dropped_connection_is_taken_up_again_within_a_call(site, cache, weights):
    site.faults.drop_after = [1000, 2000]
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights
    assert [request.range for request in site.gets()] == ["bytes=0-", "bytes=1000-", "bytes=3000-"]


def test_a_download_that_broke_off_goes_on_in_the_next_call(site, cache, weights):
    site.faults.drop_after = [5000] + 20 * [0]
    with pytest.raises(ConnectionError, match=r"broke off; 5,000 bytes of [\d,]+ bytes are kept"):
        hub.fetch(NAME, cache=cache)
    assert hub.find_cached(NAME, cache=cache) is None, "half a file passes for a whole one"
    site.faults.drop_after, site.requests = [], []
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights
    assert [request.range for request in site.gets()] == ["bytes=5000-"]


def test_a_host_that_cannot_resume_sends_everything_again(site, cache, weights):
    site.faults.drop_after = [5000] + 20 * [0]
    with pytest.raises(ConnectionError):
        hub.fetch(NAME, cache=cache)
    site.faults.drop_after, site.faults.ignore_range = [], True
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Linked-ETag", '"../../../escaped"'),
        ("X-Linked-ETag", '"{}/escaped"'),
        ("X-Repo-Commit", "../../escaped"),
        ("X-Linked-Size", "-5"),
    ],
)
def test_a_foreign_hub_is_not_believed_and_nothing_is_written(site, cache, header, value):
    site.faults.headers = {header: value.format(cache.parent)}
    with pytest.raises(ConnectionError, match="lacks hash, commit or size.*foreign hub"):
        load_pretrained(NAME, cache=cache)
    assert not site.gets() and not list(cache.parent.rglob("*escaped*"))


def test_the_cache_serves_when_the_hub_is_gone(site, cache):
    path = hub.fetch(NAME, cache=cache)
    site.faults.status = 503
    assert hub.fetch(NAME, cache=cache) == path
    site.__exit__()
    assert hub.fetch(NAME, cache=cache) == path == hub.find_cached(NAME, cache=cache)


def test_neither_hub_nor_cache(site, cache):
    site.__exit__()
    with pytest.raises(ConnectionError, match="not in the cache.*cannot be reached"):
        load_pretrained(NAME, cache=cache)
    assert not left_in(cache)


def test_a_login_page_in_the_way_is_not_taken_for_weights(site, cache):
    site.faults.bare = True
    with pytest.raises(ConnectionError, match="login page"):
        load_pretrained(NAME, cache=cache)
    assert not left_in(cache)


def test_a_revision_is_pinned_by_tag_or_by_commit(site, cache, weights):
    older = save({"old": torch.zeros(3)})
    site.add(NAME, {"model.safetensors": weights}, older={"model.safetensors": older})
    assert hub.fetch(NAME, "v1", cache).read_bytes() == older
    assert hub.fetch(NAME, None, cache).read_bytes() == weights
    assert hub.fetch(NAME, COMMITS[0], cache).read_bytes() == older
    asked = len(site.requests)
    assert hub.fetch(NAME, COMMITS[1], cache).read_bytes() == weights
    assert len(site.requests) == asked, "a commit never changes: nothing to ask"
    site.__exit__()
    assert hub.fetch(NAME, "v1", cache).read_bytes() == older


@pytest.mark.parametrize("revision", ["v9", "c" * 40, "feature/new"])
def test_an_unknown_revision_is_named(site, cache, revision):
    with pytest.raises(FileNotFoundError, match=f"no revision '{revision}'"):
        load_pretrained(NAME, revision=revision, cache=cache)


def test_a_gated_repository_needs_a_token_with_access(site, cache, weights, monkeypatch):
    name = "facebook/VGGT-1B-Commercial"
    site.add(name, {"vggt_1B_commercial.pt": weights}, gated=True)
    with pytest.raises(PermissionError, match=f"gated.*https://huggingface.co/{name}; then set HF_TOKEN"):
        load_pretrained(name, cache=cache)
    monkeypatch.setenv("HF_TOKEN", POOR_TOKEN)
    with pytest.raises(PermissionError, match="the account of your access token has no access"):
        load_pretrained(name, cache=cache)
    monkeypatch.setenv("HF_TOKEN", GOOD_TOKEN)
    assert hub.fetch(name, cache=cache).read_bytes() == weights
    asked = [request for request in site.requests if "/resolve/" in request.path]
    assert asked[-1].authorization == f"Bearer {GOOD_TOKEN}"
    assert [request.authorization for request in site.gets()] == [None], "the token went to another host"


@pytest.mark.parametrize("token", [None, POOR_TOKEN])
@pytest.mark.parametrize("name", ["someone/smal", "someone/not a name"])
def test_a_wrong_repository_is_named(site, cache, token, name, monkeypatch):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(FileNotFoundError, match=f"'{name}' here, and the hub has no.*Check the spelling"):
        load_pretrained(name, cache=cache)


def test_a_refused_token_is_no_missing_repository(site, cache):
    site.faults.status = 403
    with pytest.raises(PermissionError, match="renew or unset HF_TOKEN"):
        load_pretrained(NAME, cache=cache)


def test_a_repository_without_weights_says_which_names_were_looked_for(site, cache):
    site.add("someone/empty", {"README.md": b"soon"})
    with pytest.raises(FileNotFoundError, match=r"someone/empty holds none of.*model\.safetensors"):
        load_pretrained("someone/empty", cache=cache)


def test_too_little_space_is_told_before_the_download(site, cache, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1234, 1234))
    with pytest.raises(OSError, match=r"no space.*bytes are needed, 1,234 bytes are free"):
        load_pretrained(NAME, cache=cache)
    assert not site.gets()


def test_a_disk_that_cannot_take_the_file_is_told_and_cleared(site, cache):
    resource = pytest.importorskip("resource")
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        with pytest.raises(OSError) as caught:
            load_pretrained(NAME, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    assert caught.value.errno == errno.EFBIG
    assert not left_in(cache)


@pytest.mark.parametrize(
    "header",
    [
        {"X-Linked-ETag": '"../../../escaped"'},
        {"X-Linked-ETag": f'"{"5" * 64}"'},
        {"X-Repo-Commit": "c" * 40},
    ],
)
def test_a_hub_that_changes_its_answer_is_asked_once(site, cache, weights, header):
    site.faults.later = header
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights
    assert not list(cache.parent.rglob("*escaped*"))
    assert (
        len([request for request in site.requests if "/resolve/" in request.path]) == 2
    )  # about, and for it


@pytest.mark.parametrize("padded", [1, 100_000_000])
def test_no_more_is_written_than_was_announced(site, cache, weights, padded, monkeypatch):
    written = []
    real = hub.file_sha256
    monkeypatch.setattr(hub, "file_sha256", lambda path: written.append(path.stat().st_size) or real(path))
    site.faults.padded = padded
    with pytest.raises(ValueError, match=f"{NAME} was damaged"):
        hub.fetch(NAME, cache=cache)
    assert not left_in(cache) and written[0] < len(weights) + 1_000_000


@pytest.mark.parametrize("size", ["7", "999999999999999", "1" + 30 * "0", "many"])
def test_a_hub_that_lies_about_the_length_leaves_nothing_untrue(site, cache, weights, size):
    site.faults.headers = {"X-Linked-Size": size}
    with pytest.raises((OSError, ValueError), match=NAME if size in ("7", "many") else "no space"):
        hub.fetch(NAME, cache=cache)
    assert not left_in(cache)
    site.faults.headers = {}
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights


@pytest.mark.parametrize("revision", ["../../../escaped", "/etc/escaped", "a/../../../../escaped"])
def test_a_revision_leads_nowhere_outside_the_cache(site, cache, revision):
    with pytest.raises(FileNotFoundError, match="names no branch, tag or commit"):
        hub.fetch(NAME, revision, cache=cache)
    assert not site.requests and not list(cache.parent.rglob("*escaped*"))


@pytest.mark.parametrize("fault", [{"cut_to": 3000}, {"flip": True}])
def test_what_is_not_as_announced_is_deleted(site, cache, weights, fault):
    for key, value in fault.items():
        setattr(site.faults, key, value)
    with pytest.raises(ValueError, match=f"{NAME} was damaged"):
        load_pretrained(NAME, cache=cache)
    assert not left_in(cache)
    site.faults.cut_to, site.faults.flip = None, False
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights


def test_a_part_that_was_spoilt_is_not_built_upon(site, cache, weights):
    site.faults.drop_after = [5000] + 20 * [0]
    with pytest.raises(ConnectionError):
        hub.fetch(NAME, cache=cache)
    site.faults.drop_after = []
    [part] = cache.rglob("*.part")
    part.write_bytes(b"\0" * 5000)  # what a power cut leaves
    with pytest.raises(ValueError, match="damaged"):
        hub.fetch(NAME, cache=cache)
    assert hub.fetch(NAME, cache=cache).read_bytes() == weights


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("short", [True, False])
def test_a_file_that_was_damaged_in_the_cache_is_not_trusted_twice(site, cache, weights, connected, short):
    blob = hub.fetch(NAME, cache=cache).resolve()
    blob.write_bytes(weights[:1000] if short else b"\xff" * len(weights))
    if not connected:
        site.faults.status = 503
    with pytest.raises(ValueError, match="was damaged and has been deleted from the cache"):
        load_pretrained(NAME, cache=cache)
    assert not left_in(cache)
    site.faults.status = None
    assert load_pretrained(NAME, cache=cache).config == SMALL


def test_a_sound_file_that_is_no_weight_file_is_not_downloaded_forever(site, cache):
    site.add("someone/text", {"model.safetensors": b"not weights, but as the hub announced it"})
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_pretrained("someone/text", cache=cache)
    assert hub.find_cached("someone/text", cache=cache), "deleted although the hub has nothing better"


def test_a_file_for_another_configuration_stays_in_the_cache(site, cache):
    with pytest.raises(ValueError, match="does not fit"):
        load_pretrained(NAME, config=SMALL.with_(dim=64), cache=cache)
    assert hub.find_cached(NAME, cache=cache)


def test_the_licence_is_printed_once(site, cache, weights, capsys):
    site.add("facebook/VGGT-1B", {"model.safetensors": weights})
    for _ in range(2):
        hub.fetch("facebook/VGGT-1B", cache=cache)
        hub.fetch(NAME, cache=cache)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert "CC BY-NC 4.0" in printed[0] and "https://huggingface.co/facebook/VGGT-1B" in printed[0]
    assert NAME in printed[1]


def test_published_checkpoints_know_their_network():
    assert (
        release_of("facebook/VGGT-1B").config == VGGT_1B == release_of("facebook/VGGT-1B-Commercial").config
    )
    fixed = release_of("facebook/VGGT_tracker_fixed").config
    assert fixed.track_position_embedding and fixed.with_(track_position_embedding=False) == VGGT_1B
    assert release_of("someone/else").config is None


def test_a_published_checkpoint_brings_its_network_and_file_name(site, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(RELEASES, "someone/odd", Release(SMALL, files=("odd_e20.pt", "model.safetensors")))
    torch.save(to_official(VGGT(SMALL).state_dict()), tmp_path / "odd.pt")
    site.add("someone/odd", {"odd_e20.pt": (tmp_path / "odd.pt").read_bytes(), "model.safetensors": b"x"})
    assert load_pretrained("someone/odd", cache=cache).config == SMALL
    other = SMALL.with_(track_position_embedding=False)
    assert load_pretrained("someone/odd", other, cache=cache).config == other


def test_a_proxy_for_the_world_is_not_asked_about_this_machine(site, cache, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    new_session()
    assert hub.fetch(NAME, cache=cache).is_file()


def test_progress_is_shown_unless_quiet(site, cache, monkeypatch, capfd):
    for quiet in ("", "1"):
        monkeypatch.setenv("VGGT_LITE_QUIET", quiet)
        hub.fetch(NAME, cache=cache / f"quiet{quiet}")
        assert (f"{NAME}: 100%" in capfd.readouterr().err) == (not quiet)


def test_environment_variables_choose_hub_and_cache(site, tmp_path):
    """A process of its own, as a user starts it: HF_ENDPOINT, HF_HOME, then without a network."""
    code = f"from vggt_lite import VGGT; print(VGGT.from_pretrained({NAME!r}).config.dim)"
    environment = {
        **os.environ,
        "HF_ENDPOINT": site.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
    }
    environment["PYTHONPATH"] = str(Path(hub.__file__).parents[2])
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.stdout.split()[-1] == "32", done.stderr
        if site.requests:
            site.__exit__()
            site.requests = []
            environment["HF_HUB_OFFLINE"] = "1"
    assert (tmp_path / "home" / "hub").is_dir()


@pytest.fixture
def shared(tmp_path, monkeypatch, weights) -> Path:
    """A folder for a class, read-only, with the weights."""
    path = tmp_path / "shared" / NAME / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights)
    path.chmod(0o444)
    monkeypatch.setenv("VGGT_LITE_WEIGHTS_DIR", str(tmp_path / "shared"))
    return path


def test_a_shared_folder_is_looked_at_before_cache_and_hub(site, cache, shared, capsys):
    assert load_pretrained(NAME, cache=cache).config == SMALL
    assert hub.find_cached(NAME, cache=cache) == shared == hub.fetch(NAME, cache=cache)
    assert not site.requests and not cache.exists()
    assert capsys.readouterr().out.count("licence") == 1


def test_a_shared_folder_without_the_file_says_what_to_copy_where(site, cache, shared, monkeypatch):
    missing = re.escape(str(shared.parents[2] / "someone" / "else"))
    with pytest.raises(
        FileNotFoundError, match=rf"copy model.safetensors or model.pt into {missing}, or unset"
    ):
        load_pretrained("someone/else", cache=cache)
    assert hub.find_cached("someone/else", cache=cache) is None
    monkeypatch.delenv("VGGT_LITE_WEIGHTS_DIR")
    hub.fetch(NAME, cache=cache)
    assert len(site.gets()) == 1


def test_a_revision_is_asked_of_the_hub(site, cache, shared):
    assert hub.fetch(NAME, "main", cache) != shared
    assert len(site.gets()) == 1


def test_a_damaged_shared_file_is_named_and_left_where_it_is(site, cache, shared):
    shared.chmod(0o644)
    shared.write_bytes(shared.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut off after"):
        load_pretrained(NAME, cache=cache)
    assert shared.exists()
