"""pyproject.toml, constraints.txt and environment.yml say the same thing. No conda needed."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tasks
import vggt_lite

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}


def requirements() -> list[Requirement]:
    """Everything pyproject.toml asks for, in any extra but the app's; not extras that name others."""
    extras = [line for name, extra in EXTRAS.items() if name != "app" for line in extra]
    lines = PROJECT["dependencies"] + extras
    return [Requirement(line) for line in lines if not line.startswith(PROJECT["name"])]


def requirements_in(name: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def pins(python: str, system: str, file: str = "constraints.txt") -> dict[str, str]:
    """Package → version, as a file pins it for one Python on one system."""
    target = {"python_version": python, "python_full_version": f"{python}.9", **SYSTEMS[system]}
    chosen = [r for r in requirements_in(file) if r.marker is None or r.marker.evaluate(target)]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in chosen}


def unmet(wanted: list[Requirement], pinned: dict[str, str]) -> list[str]:
    """The requirements that no pin meets."""
    found = []
    for requirement in wanted:
        pin = pinned.get(canonicalize_name(requirement.name), "nothing")
        if pin == "nothing" or not requirement.specifier.contains(pin, prereleases=True):
            found.append(f"{requirement}: constraints.txt pins {pin}; python tasks.py lock")
    return found


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_every_requirement_within_its_range(python, system):
    wanted = requirements() + requirements_in("constraints.in")
    target = {"python_version": python, **SYSTEMS[system]}
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate(target)]
    assert len(wanted) > 15
    assert not unmet(wanted, pins(python, system))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_apps_lock_differs_from_the_other_in_pillow_alone(python, system):
    """So that .app-venv, laid over .venv, hides nothing that was tested there."""
    assert tasks.requirements_of("app") == EXTRAS["app"]
    other, own = pins(python, system), pins(python, system, "constraints-app.txt")
    assert not unmet([Requirement(line) for line in EXTRAS["app"]], own)
    assert {name for name in own.keys() & other.keys() if own[name] != other[name]} <= {"pillow"}
    needed = [Requirement(line) for line in PROJECT["dependencies"]]
    assert not unmet([r for r in needed if r.name in own], own)


def test_a_missing_pin_and_a_pin_out_of_range_are_both_noticed():
    pinned = {"torch": "2.4.1", "numpy": "2.2.6"}
    wanted = [Requirement("torch>=2.5"), Requirement("pillow"), Requirement("numpy>=2")]
    assert len(unmet(wanted, pinned)) == 2


def test_no_torch_is_allowed_that_lacks_what_the_package_imports():
    """torch 2.6 brought get_total_norm (clipping) and fully_shard (--shard), and mended torch.load."""
    (torch,) = [r for r in requirements() if r.name == "torch"]
    assert not torch.specifier.contains("2.5.1") and torch.specifier.contains("2.6.0")


def test_the_lock_fits_every_machine():
    """No CUDA packages, no +cpu builds: torch's own metadata pulls what a machine needs."""
    for pin in requirements_in("constraints.txt"):
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), f"{pin}: one exact version, no local build"
        assert not pin.name.startswith(("nvidia-", "cuda-", "triton")), f"{pin}: python tasks.py lock"


def test_what_is_installed_here_is_what_pyproject_asks_for():
    wanted = [Requirement(line) for line in PROJECT["dependencies"]]
    assert not unmet(wanted, {canonicalize_name(r.name): version(r.name) for r in wanted})


def test_conda_takes_only_python_from_conda_forge_and_the_rest_from_pyproject():
    python, pip, section = CONDA["dependencies"]
    assert CONDA["channels"] == ["conda-forge"] and pip == "pip"
    assert PROJECT["requires-python"] == re.fullmatch(r"python (>=3\.\d+),<3\.\d+", python).group(1)
    constraints, editable = section["pip"]
    assert constraints == "-c constraints.txt"
    for extra in re.fullmatch(r"-e \.\[([\w,]+)\]", editable).group(1).split(","):
        assert extra in EXTRAS


def test_conda_allows_exactly_the_pythons_the_lock_is_tested_for():
    low, high = re.search(r">=3\.(\d+),<3\.(\d+)", CONDA["dependencies"][0]).groups()
    assert tuple(f"3.{minor}" for minor in range(int(low), int(high))) == PYTHONS


def test_the_version_is_the_same_wherever_it_is_written():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert cited == re.search(r"^## (\S+)", changelog, re.MULTILINE).group(1) == vggt_lite.__version__
