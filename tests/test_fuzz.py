"""Mutated images and requests: accepted or refused, without any other exception.

2,000 inputs per run, 20,000 in `make nightly`, from fixed seeds.
"""

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chalicelib import inputs
from chalicelib.problems import InvalidRequest, UnsupportedMediaType, UrlNotAllowed
from chalicelib.urls import Target
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.images import InputImage
from tests.nightly import often

# As in the product, warnings of Pillow about broken files are ignored.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\..*")

IMAGES = often(1_500, nightly=15_000)
REQUESTS = often(500, nightly=5_000)
SPEC = InputSpec(size_px=64, crop=0.9, mean=(0, 0, 0), std=(1, 1, 1))


def seeds() -> list[bytes]:
    """Return a small image of every kind that is accepted."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((160, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (colours, "JPEG", {"quality": 80, "exif": exif}),
        (colours, "JPEG", {"progressive": True, "icc_profile": b"x" * 200}),
        (colours.convert("CMYK"), "JPEG", {}),
        (colours.convert("L"), "JPEG", {}),
        (colours, "PNG", {"exif": exif}),
        (colours.convert("P"), "PNG", {"transparency": 3}),
        (colours.convert("RGBA"), "PNG", {}),
        (Image.new("I;16", (40, 40), 999), "PNG", {}),
        (colours, "PNG", {"save_all": True, "append_images": [colours], "duration": 10}),
        (colours, "WEBP", {"exif": exif}),
        (colours.convert("RGBA"), "WEBP", {"lossless": True}),
        (colours, "WEBP", {"save_all": True, "append_images": [colours], "duration": 10}),
    ]
    encoded = []
    for image, format, options in kinds:
        stream = io.BytesIO()
        image.save(stream, format, **options)
        encoded.append(stream.getvalue())
    return encoded


def mutate(chance: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    """Make one to eight changes of kinds that often break parsers."""
    data = bytearray(payload)
    for _ in range(chance.randint(1, 8)):
        # half of the changes hit the head, where the structure is
        place = chance.randrange(max(1, min(len(data), chance.choice((64, 256, len(data) or 1)))))
        match chance.randrange(7):
            case 0:
                data[place : place + 1] = bytes([data[place] ^ (1 << chance.randrange(8))])
            case 1:
                data[place : place + 1] = bytes([chance.choice((0, 1, 127, 128, 255))])
            case 2:
                data[place : place + 4] = chance.randbytes(4)
            case 3:
                del data[place : place + chance.randint(1, 64)]
            case 4:
                data[place:place] = data[place : place + chance.randint(1, 64)]
            case 5:
                other = chance.choice(others)
                data[place:] = other[chance.randrange(len(other)) :]
            case 6:
                data[place : place + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff")
                )
        if not data:
            return b""
    return bytes(data)


def resident_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux's /proc")
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def mutants(count: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    originals = seeds()
    for _ in range(count):
        yield mutate(chance, chance.choice(originals), originals)


def decode(payload: bytes) -> str:
    """Return the outcome of decoding. Any other exception is a bug."""
    try:
        pixels = InputImage(payload).pixels(SPEC)
    except (ImageTooLarge, NotAnImage) as error:
        return type(error).__name__
    assert pixels.shape == (SPEC.size_px, SPEC.size_px, 3)
    assert pixels.dtype == np.uint8
    return "decoded"


def test_seeds_are_valid() -> None:
    assert [decode(seed) for seed in seeds()] == ["decoded"] * len(seeds())


def test_mutated_images() -> None:
    outcomes = [decode(payload) for payload in mutants(IMAGES, seed=1)]
    assert outcomes.count("decoded") > IMAGES // 20  # otherwise the mutations are too destructive
    assert outcomes.count("NotAnImage") > IMAGES // 20


def test_no_memory_leak() -> None:
    for payload in mutants(IMAGES // 3, seed=2):
        decode(payload)
    before = resident_bytes()
    for payload in mutants(IMAGES // 3, seed=3):
        decode(payload)
    assert resident_bytes() - before < 20_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
REQUEST = st.fixed_dictionaries({}, optional={"url": JSON | st.text(), "top_k": JSON})
BODY = st.binary() | (JSON | REQUEST).map(lambda document: json.dumps(document).encode())
FORM = "multipart/form-data; boundary=b"
MEDIA_TYPE = st.sampled_from([inputs.JSON, "image/png", FORM, "text/plain", ""]) | st.text()
QUERY = st.dictionaries(
    st.sampled_from(["url", "top_k", "deep"]) | st.text(), st.lists(st.text()), max_size=3
)


def parse_or_refuse(parse: Callable[[], object]) -> None:
    try:
        parse()
    except (InvalidRequest, UnsupportedMediaType, UrlNotAllowed) as problem:
        detail = problem.detail
    else:
        return
    assert detail.isprintable()
    assert len(detail) < 200


@settings(max_examples=REQUESTS, deadline=None, derandomize=True)
@given(MEDIA_TYPE, BODY, QUERY)
def test_any_request(media_type: str, body: bytes, query: inputs.Query) -> None:
    parse_or_refuse(lambda: inputs.from_body(media_type, body, query))
    parse_or_refuse(lambda: inputs.from_query(query))
    parse_or_refuse(lambda: inputs.deep(query))


@settings(max_examples=REQUESTS, deadline=None, derandomize=True)
@given(st.text() | st.from_regex(r"https?://[^\s]*", fullmatch=True))
def test_any_url(url: str) -> None:
    def parse() -> None:
        target = Target.parse(url)
        assert target.host.isascii()
        assert target.path.isascii()
        assert target.path.isprintable()
        assert " " not in target.path
        assert 0 <= target.port <= 65535

    parse_or_refuse(parse)
