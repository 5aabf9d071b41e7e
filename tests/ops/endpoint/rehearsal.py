"""Run a Dockerfile without Docker: in a chroot, as its user, without network.

The base image is this machine's system, mounted read-only, with its Python at /usr/local. The stage
`packages` is built by running its RUN instructions in the chroot. Of the last stage COPY, ENV,
WORKDIR, USER, ENTRYPOINT and CMD are used, but not RUN, which would change the mounted system.
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
_MOUNTED = ("usr", "etc")


@dataclass
class Stage:
    """A FROM of a Dockerfile and its instructions, in order."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def value(self, keyword: str) -> str:
        """Return the argument of the last instruction with that keyword."""
        return [argument for word, argument in self.instructions if word == keyword][-1]

    def all(self, keyword: str) -> list[str]:
        return [argument for word, argument in self.instructions if word == keyword]

    def environment(self) -> dict[str, str]:
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        for argument in self.all("ENV"):
            for name, value in (pair.split("=", 1) for pair in shlex.split(argument)):
                variables[name] = value.replace("$PATH", variables["PATH"])
        return variables


def obstacle() -> str:
    """Return why this machine cannot run the container, or an empty string if it can."""
    if os.geteuid() != 0:
        return "running the container needs root, for namespaces"
    if missing := [tool for tool in ("unshare", "chroot", "mount", "ip") if not shutil.which(tool)]:
        return f"running the container needs {', '.join(missing)}"
    if not Path(sys.base_prefix, "bin", "python").exists():
        return f"{sys.base_prefix}/bin contains no python to mount in the container"
    if subprocess.run(["unshare", "-n", "-m", "true"], check=False).returncode:
        return "namespaces are not allowed here"
    return ""


def stages(dockerfile: Path) -> list[Stage]:
    """Parse a Dockerfile. Its last stage is the image."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    result: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        word, _, argument = line.strip().partition(" ")
        if word == "FROM":
            result.append(Stage(argument.partition(" AS ")[2].strip()))
        elif word and result:
            result[-1].instructions.append((word, argument.strip()))
    return result


def build_packages(stage: Stage, cache: Path) -> Path:
    """Build the root of the stage `packages`, cached by its instructions and files."""
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
    """Create a root in which the system of this machine can be mounted."""
    for name in (*_MOUNTED, "proc", "dev", "sys", "tmp", "opt"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name in _SYSTEM:
        if (link := Path("/") / name).is_symlink():
            (root / name).symlink_to(link.readlink())


def copy(source: Path, root: Path, argument: str) -> None:
    """Run `COPY SOURCE TARGET`."""
    name, destination = shlex.split(argument)
    path, target = source / name.lstrip("/"), root / destination.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "default")
        shutil.copytree(path, target, symlinks=True, ignore=ignore)
    else:
        shutil.copy(path, target)


def mounts(root: Path) -> str:
    """Return the shell commands that mount this machine's system under `root`, read-only."""
    quoted_root = shlex.quote(str(root))
    lines = [f"mount --bind {quoted_root} {quoted_root}"]
    for name in _MOUNTED:
        lines += [
            f"mount --bind /{name} {quoted_root}/{name}",
            f"mount -o remount,bind,ro {quoted_root}/{name}",
        ]
    if sys.base_prefix != "/usr":
        # also at its own path, which its shebangs and its path to libpython contain
        for target in ("/usr/local", sys.base_prefix):
            mount_point = shlex.quote(f"{root}{target}")
            lines += [
                f"mkdir -p {mount_point}",
                f"mount --bind {shlex.quote(sys.base_prefix)} {mount_point}",
                f"mount -o remount,bind,ro {mount_point}",
            ]
    lines += [f"mount --rbind /{name} {quoted_root}/{name}" for name in ("dev", "sys")]
    lines.append(f"mount -t proc proc {quoted_root}/proc")
    return "\n".join(lines)


def run_in(root: Path, command: str, *, network: bool) -> None:
    """Run a shell command in `root` as root. Raise CalledProcessError if it fails."""
    script = (
        f"set -e\n{mounts(root)}\nexec chroot {shlex.quote(str(root))} sh -c {shlex.quote(command)}"
    )
    namespaces = ["-m"] if network else ["-m", "-n"]
    subprocess.run(["unshare", *namespaces, "bash", "-c", script], check=True, capture_output=True)


def start_command(stage: Stage, root: Path) -> str:
    """Return the shell command that starts the container."""
    arguments = json.loads(stage.value("ENTRYPOINT")) + json.loads(stage.value("CMD"))
    return in_container(stage, root, shlex.join(arguments))


def in_container(stage: Stage, root: Path, command: str) -> str:
    """Return the shell command that runs `command` in the container, as its user."""
    user = stage.value("USER")
    inside = f"cd {stage.value('WORKDIR')} && exec env -i {_pairs(stage.environment())} {command}"
    return (
        f"chroot --userspec={user}:{user} {shlex.quote(str(root))} /bin/sh -c {shlex.quote(inside)}"
    )


def health_command(stage: Stage) -> str:
    """Return the command of HEALTHCHECK."""
    return shlex.join(json.loads(stage.value("HEALTHCHECK").partition("CMD ")[2]))


def _pairs(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())


def _exports(environment: dict[str, str]) -> str:
    return f"export {_pairs(environment)};"
