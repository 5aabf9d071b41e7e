"""What the container's build removes from the packages, for both architectures."""

import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from model_code import slim_packages

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "model_code" / "requirements.txt"
# glibc 2.36, as in Debian 12, the base image's system
PLATFORMS = {
    machine: [f"manylinux_2_{minor}_{machine}" for minor in range(17, 37)]
    + [f"manylinux2014_{machine}"]
    for machine in slim_packages.UNUSED_ON
}


def installed(machine: str) -> Path:
    """Return a folder with the packages of the lock for a machine, cached as wheels."""
    wheels = ROOT / "build" / "wheels" / machine
    wheels.mkdir(parents=True, exist_ok=True)
    options = [option for name in PLATFORMS[machine] for option in ("--platform", name)]
    process = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--only-binary=:all:", "--python-version", "3.11", *options,
         "--find-links", str(wheels), "--dest", str(wheels), "--requirement", str(REQUIREMENTS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No matching distribution" in process.stderr or "No module named pip" in process.stderr:
        pytest.skip("the packages of the container cannot be fetched here")
    assert process.returncode == 0, process.stderr
    return wheels


def needed(library: Path) -> set[str]:
    """Return the names of the libraries that an ELF file is linked with."""
    process = subprocess.run(
        ["readelf", "--dynamic", "--wide", str(library)], capture_output=True, text=True, check=True
    )
    return {
        line.partition("[")[2].rstrip("]")
        for line in process.stdout.splitlines()
        if "(NEEDED)" in line
    }


@pytest.mark.server
@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf (binutils) is not installed")
@pytest.mark.parametrize("machine", slim_packages.UNUSED_ON)
def test_the_packages_of_both_architectures(machine: str, tmp_path: Path) -> None:
    for wheel in installed(machine).glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
    before = {path.name for path in tmp_path.rglob("*.so*")}
    slim_packages.remove(tmp_path, machine)
    libraries = list(tmp_path.rglob("*.so*"))
    removed = before - {path.name for path in libraries}
    plugins = {path.name for path in libraries if "_cpu_plugin" in path.name}
    assert len(plugins) == 1
    assert removed
    for library in libraries:
        links = needed(library)
        assert removed.isdisjoint(links), library
        slim_packages.strip(library)
        assert needed(library) == links, library


def packages(folder: Path) -> Path:
    """A folder in which each pattern for x86 matches a file."""
    for pattern in (*slim_packages.UNUSED, *slim_packages.UNUSED_ON["x86_64"]):
        path = folder / pattern.replace("**", "some").replace("*", "name")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (folder / "kept.py").write_text("")
    return folder


def test_nothing_is_removed_if_a_pattern_is_outdated(tmp_path: Path) -> None:
    folder = packages(tmp_path)
    (folder / "openvino/libs/libopenvino_intel_gpu_plugin.so").rename(folder / "renamed.so")
    before = sorted(folder.rglob("*"))
    with pytest.raises(LookupError, match=r"libopenvino_intel_gpu_plugin\.so in slim_packages\.py"):
        slim_packages.remove(folder, "x86_64")
    assert sorted(folder.rglob("*")) == before


def test_the_rest_is_kept(tmp_path: Path) -> None:
    folder = packages(tmp_path)
    slim_packages.remove(folder, "x86_64")
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["kept.py"]


def test_the_build_stops_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    process = subprocess.run(
        [sys.executable, slim_packages.__file__, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert line.endswith("remove the pattern or correct it.")


def test_only_what_is_behind_the_last_segment_is_cut_off(tmp_path: Path) -> None:
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<QQ", header, 32, 64, 400)  # segment and section tables
    struct.pack_into("<HHHHH", header, 54, 56, 1, 64, 3, 2)
    segment = bytearray(56)
    struct.pack_into("<Q", segment, 8, 120)
    struct.pack_into("<Q", segment, 32, 80)
    content = bytes(header) + bytes(segment) + os.urandom(300)
    library = tmp_path / "x.so"
    library.write_bytes(content)
    slim_packages.strip(library)
    result = library.read_bytes()
    assert len(result) == 200
    assert result[64:] == content[64:200]
    assert struct.unpack_from("<Q", result, 40) == (0,)
    assert struct.unpack_from("<HHH", result, 58) == (0, 0, 0)
    slim_packages.strip(library)
    assert library.read_bytes() == result


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "libx.so"
    script.write_text("/* GNU ld script */")
    slim_packages.strip(script)
    assert script.read_text() == "/* GNU ld script */"
