"""The orientation in EXIF metadata, the only tag that is read."""

import struct

_ORIENTATION_TAG = 0x0112
_MAX_ENTRIES = 512  # cameras write about 20 into the first directory


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of a TIFF structure, with or without the prefix `Exif`.

    Broken or missing metadata means upright (1). Source: TIFF 6.0, section 2; Exif 2.32, 4.6.4 A.
    """
    tiff = exif[6:] if exif[:4] == b"Exif" else exif
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for index in range(min(entries, _MAX_ENTRIES)):
            entry = first + 2 + 12 * index
            tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == _ORIENTATION_TAG:
                # SHORT as the standard says; some writers use LONG or BYTE
                form = {1: "B", 3: "H", 4: "I"}.get(kind)
                if form is None or count != 1:
                    return 1
                (value,) = struct.unpack_from(f"{order}{form}", tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
