"""Run what a Dockerfile describes, without Docker: in a root of its own, as its user, offline.

The base image's system is this machine's, mounted read-only, its Python at /usr/local. The stage
`packages` is built by running its RUN lines in that root; of the last stage COPY, ENV, WORKDIR,
USER, ENTRYPOINT and CMD are carried out. Its RUN lines are not: they would change the system that
is only borrowed.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_SYSTEM = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")
_BORROWED = ("usr", "etc")


@dataclass
class Stage:
    """One FROM of a Dockerfile and its instructions, in order."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def value(self, keyword: str) -> str:
        """The argument of the last instruction of that keyword."""
        return [argument for word, argument in self.instructions if word == keyword][-1]

    def all(self, keyword: str) -> list[str]:
        return [argument for word, argument in self.instructions if word == keyword]

    def environment(self) -> dict[str, str]:
        found = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        for argument in self.all("ENV"):
            for name, value in (pair.split("=", 1) for pair in shlex.split(argument)):
                found[name] = value.replace("$PATH", found["PATH"])
        return found


def obstacle() -> str:
    """Why nothing can be rehearsed on this machine; empty where it can."""
    if os.geteuid() != 0:
        return "rehearsing the container needs root, for namespaces"
    if missing := [tool for tool in ("unshare", "chroot", "mount", "ip") if not shutil.which(tool)]:
        return f"rehearsing the container needs {', '.join(missing)}"
    if not Path(sys.base_prefix, "bin", "python").exists():
        return f"there is no python in {sys.base_prefix}/bin to lay into the container"
    if subprocess.run(["unshare", "-n", "-m", "true"], check=False).returncode:
        return "namespaces are not allowed here"
    return ""


def stages(dockerfile: Path) -> list[Stage]:
    """The stages of a Dockerfile, the last one being what runs."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        word, _, argument = line.strip().partition(" ")
        if word == "FROM":
            found.append(Stage(argument.partition(" AS ")[2].strip()))
        elif word and found:
            found[-1].instructions.append((word, argument.strip()))
    return found


def build_packages(stage: Stage, cache: Path) -> Path:
    """The root of the stage `packages`, built once for each state of its instructions and files."""
    files = [shlex.split(argument)[0] for argument in stage.all("COPY")]
    digest = hashlib.sha256(json.dumps(stage.instructions).encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    target = cache / f"packages-{digest.hexdigest()[:12]}"
    if target.is_dir():
        return target
    scratch = cache / "packages.building"
    shutil.rmtree(scratch, ignore_errors=True)
    new_root(scratch)
    for argument in stage.all("COPY"):
        copy(ROOT, scratch, argument)
    for command in stage.all("RUN"):
        run_in(scratch, f"{_exports(stage.environment())} {command}", network=True)
    scratch.rename(target)
    return target


def new_root(root: Path) -> None:
    """An empty root on which the system of this machine can be mounted."""
    for name in (*_BORROWED, "proc", "dev", "sys", "tmp", "opt"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in _SYSTEM:
        if (link := Path("/") / name).is_symlink():
            (root / name).symlink_to(link.readlink())


def copy(source: Path, root: Path, argument: str) -> None:
    """COPY FROM TO, without options."""
    what, where = shlex.split(argument)
    target = root / where.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if (source / what.lstrip("/")).is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "default")
        shutil.copytree(source / what.lstrip("/"), target, symlinks=True, ignore=ignore)
    else:
        shutil.copy(source / what, target)


def mounts(root: Path) -> str:
    """The shell commands that lay this machine's system under `root`, read-only."""
    place = shlex.quote(str(root))
    lines = [f"mount --bind {place} {place}"]
    for name in _BORROWED:
        lines += [
            f"mount --bind /{name} {place}/{name}",
            f"mount -o remount,bind,ro {place}/{name}",
        ]
    if sys.base_prefix != "/usr":
        # Its own path as well: shebangs and the path to libpython are written into it.
        for target in ("/usr/local", sys.base_prefix):
            where = shlex.quote(f"{root}{target}")
            lines += [
                f"mkdir -p {where}",
                f"mount --bind {shlex.quote(sys.base_prefix)} {where}",
                f"mount -o remount,bind,ro {where}",
            ]
    lines += [f"mount --rbind /{name} {place}/{name}" for name in ("dev", "sys")]
    lines.append(f"mount -t proc proc {place}/proc")
    return "\n".join(lines)


def run_in(root: Path, command: str, *, network: bool) -> None:
    """Run a shell command in `root` as root. Raises where it fails."""
    script = (
        f"set -e\n{mounts(root)}\nexec chroot {shlex.quote(str(root))} sh -c {shlex.quote(command)}"
    )
    namespaces = ["-m"] if network else ["-m", "-n"]
    subprocess.run(["unshare", *namespaces, "bash", "-c", script], check=True, capture_output=True)


def start_command(stage: Stage, root: Path) -> str:
    """The shell command that starts the container: its environment, folder, user, entrypoint."""
    arguments = json.loads(stage.value("ENTRYPOINT")) + json.loads(stage.value("CMD"))
    return in_container(stage, root, shlex.join(arguments))


def in_container(stage: Stage, root: Path, command: str) -> str:
    """The shell command that runs `command` as the container would."""
    user = stage.value("USER")
    inside = f"cd {stage.value('WORKDIR')} && exec env -i {_pairs(stage.environment())} {command}"
    return (
        f"chroot --userspec={user}:{user} {shlex.quote(str(root))} /bin/sh -c {shlex.quote(inside)}"
    )


def health_command(stage: Stage) -> str:
    """What HEALTHCHECK runs."""
    return shlex.join(json.loads(stage.value("HEALTHCHECK").partition("CMD ")[2]))


def _pairs(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())


def _exports(environment: dict[str, str]) -> str:
    return f"export {_pairs(environment)};"
