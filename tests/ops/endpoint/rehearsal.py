"""Run a Dockerfile without Docker: in a chroot, as its user, without network.

The base image is this machine's system, mounted read-only, with its Python at /usr/local. The stage
`packages` is built by running its instructions in the chroot. Of the last stage COPY, ENV, WORKDIR,
USER, ENTRYPOINT and CMD are used, but not RUN, which would change the mounted system.
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


def build(stage: Stage, cache: Path, until: str = "") -> Path:
    """Build the root of a stage, cached after each RUN as Docker does, and return it.

    Stops after the first RUN that contains `until`, if given. Raises CalledProcessError if a
    command fails.
    """
    digest, root, copies, folder = hashlib.sha256(), None, [], "/"
    for word, argument in stage.instructions:
        digest.update(json.dumps([word, argument]).encode())
        if word == "WORKDIR":
            folder = argument
        elif word == "COPY":
            copies.append(argument)
            for file in _files(ROOT / shlex.split(argument)[0]):
                digest.update(file.read_bytes())
        elif word == "RUN":
            target = cache / f"{stage.name}-{digest.hexdigest()[:12]}"
            if not target.is_dir():
                scratch = cache / f"{stage.name}.building"
                shutil.rmtree(scratch, ignore_errors=True)
                if root is None:
                    new_root(scratch)
                else:
                    clone(root, scratch)
                for copied in copies:
                    copy(ROOT, scratch, copied)
                exports = _exports(stage.environment())
                run_in(scratch, f"{exports} cd {folder}; {argument}", network=True)
                scratch.rename(target)
            root, copies = target, []
            if until and until in argument:
                break
    assert root is not None, "the stage has no RUN"
    return root


def clone(root: Path, target: Path) -> None:
    """Copy a root with its times, which bytecode refers to."""
    subprocess.run(["cp", "--archive", str(root), str(target)], check=True)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    ignored = {"__pycache__", "default"}
    return sorted(
        file for file in path.rglob("*") if file.is_file() and ignored.isdisjoint(file.parts)
    )


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
        shutil.copytree(path, target, symlinks=True, ignore=ignore, dirs_exist_ok=True)
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
    environment = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
    subprocess.run(
        ["unshare", *namespaces, "bash", "-c", script],
        env=environment,
        check=True,
        capture_output=True,
    )


def start_command(stage: Stage) -> str:
    """Return the command that starts the server in the container."""
    return shlex.join(json.loads(stage.value("ENTRYPOINT")) + json.loads(stage.value("CMD")))


def in_container(stage: Stage, root: Path, command: str, **environment: str) -> str:
    """Return the shell command that runs `command` in the container, as its user."""
    user = stage.value("USER")
    variables = _pairs(stage.environment() | environment)
    inside = f"cd {stage.value('WORKDIR')} && exec env -i {variables} {command}"
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
