"""Share links that lead to a page about an image, and their documented direct forms."""

from dataclasses import replace

from chalicelib.urls import Target

_DROPBOX_HOSTS = frozenset({"dropbox.com", "www.dropbox.com"})
_DROPBOX_FILES = ("/s/", "/scl/fi/")


def direct(target: Target) -> Target:
    """Return the direct form of a share link, or `target` if it is not one.

    https://help.dropbox.com/share/force-download
    """
    path, _, query = target.path.partition("?")
    if target.host not in _DROPBOX_HOSTS or not path.startswith(_DROPBOX_FILES):
        return target
    parameters = [text for text in query.split("&") if text]
    if "dl=1" in parameters or "raw=1" in parameters:
        return target
    others = [text for text in parameters if text.partition("=")[0] not in ("dl", "raw")]
    return replace(target, path=f"{path}?{'&'.join([*others, 'raw=1'])}")
