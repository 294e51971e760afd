"""Where the network runs is chosen outside it, and the same seed gives the same numbers."""

import ast
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vggt_lite import VGGT
from vggt_lite.config import NANO
from vggt_lite.utils import runtime

PACKAGE = Path(runtime.__file__).parents[1]
SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)


# --- same seed, same numbers ----------------------------------------------------------------------


def forward() -> list[torch.Tensor]:
    """Every output of a fresh network on fresh images."""
    pred = VGGT(SMALL).eval()(torch.rand(3, 3, 32, 32), torch.rand(5, 2) * 32)
    values = (pred.pose_encoding, pred.depth, pred.depth_conf, pred.point_map, pred.tracks, pred.track_conf)
    return [value.detach() for value in values]


def train() -> list[torch.Tensor]:
    """Weights after three steps that reach every head, repeated indices and resizes included."""
    model = VGGT(SMALL).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):
        pred = model(torch.rand(2, 3, 32, 48), torch.rand(6, 2) * 32)
        outputs = (pred.pose_encoding, pred.depth, pred.point_map, pred.tracks, pred.track_visibility_logits)
        loss = sum((value - torch.randn_like(value)).square().mean() for value in outputs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("work", [forward, train])
def test_the_same_seed_gives_the_same_bits(work):
    runs = []
    torch.use_deterministic_algorithms(True)  # an operation that has no such form is a RuntimeError
    try:
        for seed in (7, 7, 8):
            runtime.seed_everything(seed)
            runs.append(work())
            torch.rand(3)  # what happens between must not matter
    finally:
        torch.use_deterministic_algorithms(False)
    first, second, other = runs
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# --- devices --------------------------------------------------------------------------------------


def test_the_best_device_at_hand_is_picked(monkeypatch):
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert runtime.pick_device() == torch.device(expected)


def test_bfloat16_is_picked_only_where_a_gpu_has_it(monkeypatch):
    asked = []

    class Device:
        def __init__(self, device):
            asked.append(device)

        __enter__ = __exit__ = lambda *_: None

    monkeypatch.setattr(torch.cuda, "device", Device)
    for has_it, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, yes=has_it: yes)
        assert runtime.pick_dtype("cuda:1") == expected
    assert asked == [torch.device("cuda:1")] * 2  # that GPU, not the current one
    assert runtime.pick_dtype("cpu") == runtime.pick_dtype(torch.device("mps")) == torch.float32


def test_a_processor_is_asked_for_bfloat16_only_where_speed_comes_first(monkeypatch):
    for told, has in (
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx2": True}, False),
        (None, False),
    ):
        if told is None:  # an older torch
            monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        else:
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda told=told: told, raising=False)
        assert runtime.multiplies_bfloat16() is has
        assert runtime.pick_dtype("cpu", "fast") == (torch.bfloat16 if has else torch.float32)
        assert runtime.pick_dtype("cpu") == runtime.pick_dtype("mps", "fast") == torch.float32


def device_names(source: str) -> list[str]:
    """Every place where Python source names a device: a string, torch.cuda, x.cpu()."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.split(":")[0] in ("cpu", "cuda", "mps"):
                found.append(f"line {node.lineno}: {node.value!r}")
        elif isinstance(node, ast.Attribute) and node.attr in ("cpu", "cuda", "mps"):
            found.append(f"line {node.lineno}: .{node.attr}")
    return found


@pytest.mark.parametrize("path", sorted((PACKAGE / "model").rglob("*.py")), ids=lambda path: path.name)
def test_no_module_of_the_network_names_a_device(path):
    assert not device_names(path.read_text(encoding="utf-8"))


def test_device_names_are_recognised():
    named = ['torch.zeros(3, device="cpu")', "torch.cuda.synchronize()", "x.cpu()", 'x.to("cuda:1")']
    assert all(device_names(line) for line in named)
    assert not device_names("torch.zeros(3, device=x.device)  # not on the cpu\nx.is_cpu\n'on the cpu'")


# --- free memory ----------------------------------------------------------------------------------


def system(root: Path, groups: str, **files: str) -> Path:
    """A made-up /proc and /sys with 8000 kB to be had."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    8000 kB\n")
    (root / "proc/self/cgroup").write_text(groups)
    for path, text in files.items():
        path = root / "sys/fs/cgroup" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_is_what_the_system_could_hand_out(tmp_path):
    assert runtime._available_on_host(system(tmp_path, "0::/\n")) == 8000 * 1024


def test_a_container_or_batch_system_may_allow_less(tmp_path):
    limits = {
        "jobs/memory.max": "3000000\n",  # not the innermost group: its parent sets the limit
        "jobs/memory.current": "1000000\n",
        "jobs/memory.stat": "anon 5\ninactive_file 200000\n",  # cached files give way
        "jobs/mine/memory.max": "max\n",
        "jobs/mine/memory.current": "7\n",
        "jobs/mine/memory.stat": "inactive_file 0\n",
    }
    assert runtime._available_on_host(system(tmp_path, "0::/jobs/mine\n", **limits)) == 2_200_000


def test_the_older_kind_of_control_group_counts_too(tmp_path):
    limits = {
        "memory/box/memory.limit_in_bytes": "500\n",
        "memory/box/memory.usage_in_bytes": "900\n",
        "memory/box/memory.stat": "inactive_file 9\ntotal_inactive_file 100\n",
    }
    groups = "4:memory:/box\n3:cpuset:/\n0::/\n"
    assert runtime._available_on_host(system(tmp_path, groups, **limits)) == 0  # nothing left, never negative


def test_a_system_that_does_not_say_answers_with_all_of_its_memory(tmp_path):
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert runtime._available_on_host(tmp_path) == pages


def test_memory_of_a_gpu_is_what_is_free_and_what_torch_keeps_in_reserve(monkeypatch):
    values = {"mem_get_info": (100, 1000), "memory_reserved": 70, "memory_allocated": 30}
    for name, value in values.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert runtime.available_memory("cuda") == 100 + 40
    apple = SimpleNamespace(recommended_max_memory=lambda: 90, current_allocated_memory=lambda: 20)
    monkeypatch.setattr(torch, "mps", apple)
    assert runtime.available_memory("mps") == 70


def test_memory_here_is_a_sensible_number():
    assert 10_000_000 < runtime.available_memory("cpu") < 10**14


# --- devices --------------------------------------------------------------------------------------


def test_a_device_that_cannot_compute_is_refused_by_name():
    assert runtime.pick_device("cpu") == torch.device("cpu")
    assert runtime.pick_device(torch.device("cpu")).type == "cpu"
    for name in ("meta", "nonsense"):
        with pytest.raises(ValueError, match=f"device='{name}' cannot compute here .*take cpu"):
            runtime.pick_device(name)


# --- fast mode ------------------------------------------------------------------------------------


def test_a_shortened_run_says_so_where_it_is_short(monkeypatch, recwarn):
    monkeypatch.delenv("VGGT_LITE_FAST", raising=False)
    assert not runtime.fast_mode() and not recwarn
    monkeypatch.setenv("VGGT_LITE_FAST", "1")
    with pytest.warns(UserWarning, match="shortened run .*; the text describes the full one") as told:
        assert runtime.fast_mode()
    assert told[0].filename == __file__
