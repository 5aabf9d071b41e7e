"""pyproject.toml, the locks made from it, and what can be installed from them."""

import configparser
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
LOCKS = {
    "dev": "locks/dev.txt",
    "check": "locks/check.txt",
    "run": "locks/run.txt",
    "deploy": "locks/deploy.txt",
    "serving": "model_code/requirements.txt",
    "training": "training/requirements.txt",
    "training-job": "training/jobs/requirements.txt",
    "bench": "locks/bench.txt",
    "tools": "locks/tools.txt",
}
WITH_HASHES = ("run", "deploy", "serving", "tools")
WITHOUT_TORCH = ("run", "deploy", "serving", "check")
OF_ONE_VERSION = ("check", "run", "deploy", "serving", "training", "training-job")
"""Locks whose versions are those of locks/dev.txt, so that the tests run what is deployed."""


def group(name: str) -> list[Requirement]:
    """Return the requirements of a dependency group and the groups it includes."""
    requirements = []
    for entry in GROUPS[name]:
        if isinstance(entry, str):
            requirements.append(Requirement(entry))
        else:
            requirements += group(entry["include-group"])
    return requirements


def lines(lock: str) -> list[str]:
    """Return the requirements of a lock with their hashes, one per line."""
    text = (ROOT / LOCKS[lock]).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if not line.startswith("#")]


def versions(lock: str) -> dict[str, set[str]]:
    """Map each package of a lock to its versions, of which several have different markers."""
    result: dict[str, set[str]] = {}
    for line in lines(lock):
        requirement = Requirement(line.partition("--hash")[0])
        result.setdefault(canonicalize_name(requirement.name), set()).add(
            str(requirement.specifier)
        )
    return result


def test_each_version_is_pinned_once() -> None:
    pins = [
        Requirement(entry)
        for entries in GROUPS.values()
        for entry in entries
        if isinstance(entry, str)
    ]
    names = [canonicalize_name(pin.name) for pin in pins]
    assert sorted(set(names)) == sorted(names)
    assert all(str(pin.specifier).startswith("==") for pin in pins)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_made_from_its_group(lock: str) -> None:
    locked = versions(lock)
    for pin in group(lock):
        assert str(pin.specifier) in locked[canonicalize_name(pin.name)], f"run `make lock`: {pin}"


@pytest.mark.parametrize("lock", OF_ONE_VERSION)
def test_what_is_deployed_is_what_is_tested(lock: str) -> None:
    tested = versions("dev")
    assert {
        name: found for name, found in versions(lock).items() if not found <= tested[name]
    } == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_everything_and_names_no_index(lock: str) -> None:
    for line in lines(lock):
        assert "==" in line
        assert "://" not in line
        assert not line.startswith("-")
        assert ("--hash=sha256:" in line) == (lock in WITH_HASHES)
        # pip finds a torch for the machine, and torch pins its CUDA libraries
        assert not line.startswith(("nvidia-cu", "cuda-", "triton"))


@pytest.mark.parametrize("lock", WITHOUT_TORCH)
def test_torch_and_sagemaker_are_for_training_only(lock: str) -> None:
    assert {"torch", "torchvision", "timm", "sagemaker"}.isdisjoint(versions(lock))


def test_the_lambda_bundle_has_no_packages() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all(line.startswith("#") for line in text.splitlines())


def test_ops_needs_only_the_packages_of_the_deploy_lock() -> None:
    """Import every module of ops, aws and cli without the packages that `make deploy` lacks."""
    allowed = set(versions("deploy"))
    blocked = sorted(
        package
        for package, distributions in packages_distributions().items()
        if not {canonicalize_name(name) for name in distributions} & allowed
        and package.isidentifier()
        and package not in ("aws", "cli", "ops", "chalicelib", "model_code")
    )
    program = f"""
import importlib, pkgutil, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(blocked)!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
for name in ("cli", "aws", "ops"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_wheel_has_the_packages_and_their_data(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        + ["--no-index", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        timeout=120,
    )
    with zipfile.ZipFile(next(tmp_path.glob("whatbreed-*.whl"))) as wheel:
        names = set(wheel.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
        entry_points = configparser.ConfigParser()
        entry_points.read_string(wheel.read(metadata).decode())
    packages = ("aws", "chalicelib", "cli", "model_code", "ops", "training")
    assert {f"{package}/__init__.py" for package in packages} <= names
    data = {"aws/prices.json", "chalicelib/page.html", "model_code/default/model.xml"}
    data |= {"ops/costs/capacity.json"}
    assert data <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(packages)
    for entry in entry_points["console_scripts"].values():
        module, _, function = entry.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_the_version_is_that_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (\d[\d.]*)", changelog, re.MULTILINE)
    assert PROJECT["project"]["version"] == releases[0]


def test_every_make_target_is_listed_by_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    internal = {"help", "check-python", "need-stage"}
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) - internal
    assert targets == set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
