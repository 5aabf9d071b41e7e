"""Measure what decoding each hostile image costs, in a process of its own.

    python -m tests.model_code.image_cost NAME [NAME ...]
    python -m tests.model_code.image_cost --all
    python -m tests.model_code.image_cost --family NAME [NAME ...]
    python -m tests.model_code.image_cost --random COUNT SEED FOLDER

Each prints a JSON object per line: name, outcome, seconds of processor time, peak memory in bytes.
The first line is an honest photo of 12 megapixels, the unit that the others are compared with.
--random leaves its images in FOLDER.
"""

import json
import random
import resource
import sys
from pathlib import Path

from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.images import InputImage
from tests import hostile_formats, hostile_images

SPEC = InputSpec(size_px=224, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))
FAMILIES = {**hostile_images.FAMILIES, **hostile_formats.FAMILIES}
HONEST = "honest photo of 12 megapixels"


def main(names: list[str]) -> None:
    honest = hostile_images.encode(hostile_images.photo(4000, 3000), "WEBP", method=0)
    InputImage(honest).pixels(SPEC)  # Pillow loads its plugins
    print(json.dumps(measure(HONEST, honest)), flush=True)
    if names[0] == "--random":
        count, seed, folder = int(names[1]), int(names[2]), Path(names[3])
        for number in range(count):
            module = (hostile_images, hostile_formats)[number % 2]
            payload = module.random_image(random.Random(f"{seed} {number}"))
            path = folder / f"{number}.bin"
            path.write_bytes(payload)
            print(json.dumps(measure(str(path), payload)), flush=True)
        return
    for family_name, family in FAMILIES.items():
        whole_family = names == ["--all"] or (names[0] == "--family" and family_name in names)
        for name, build in family():
            if whole_family or name in names:
                payload = build()
                if len(payload) <= hostile_images.MAX_BYTES:
                    print(json.dumps(measure(name, payload)), flush=True)


def measure(name: str, payload: bytes) -> dict[str, object]:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak of resident memory
    before, began, child_before = status("VmRSS"), cpu_seconds(), child_peak_bytes()
    try:
        InputImage(payload).pixels(SPEC)
        outcome = "answered"
    except (ImageTooLarge, NotAnImage) as error:
        outcome = str(error)
    seconds = cpu_seconds() - began
    # The kernel keeps one peak for all children, so only a new one is attributed.
    child = child_peak_bytes() if child_peak_bytes() > child_before else 0
    peak = max(status("VmHWM") - before, child)
    return {"name": name, "outcome": outcome, "seconds": seconds, "peak_bytes": peak}


def cpu_seconds() -> float:
    """Processor time of this process and its children."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def child_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{field}:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
