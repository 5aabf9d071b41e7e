"""Import what the server imports sooner or later, so that Python writes its bytecode.

The container's build runs this once, with PYTHONPYCACHEPREFIX.
"""

import encodings.idna  # noqa: F401 (the health check's)
import urllib.request  # noqa: F401 (the health check's)

import anyio
import uvicorn
from PIL import Image

from model_code import decoding, formats, serve
from model_code import isolation as _  # noqa: F401 (a program of its own)
from model_code.http_limits import LimitedProtocol


def main() -> None:
    Image.preinit()
    for name in formats.NAMES:
        decoding.register(name)
    anyio.run(anyio.sleep, 0)
    config = uvicorn.Config(serve.create_app, http=LimitedProtocol, ws="none")
    config.load()
    config.get_loop_factory()


if __name__ == "__main__":
    main()
