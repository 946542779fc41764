"""The IDX format of the MNIST family: a header of big-endian sizes, then the values.

Source: "The IDX file format", on the MNIST page of Y. LeCun.
"""

import gzip
import io
import math
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_UNSIGNED_BYTE = 0x08


def unzip(data: bytes, origin: str, limit: int) -> bytes:
    """Decompress gzip'ed `data` to at most `limit` bytes, checking its own checksum.

    **Raises:** `ValueError` if it is truncated, damaged, no gzip file, or would be longer.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        try:
            # One byte more: the checksum is looked at where the stream ends.
            content = stream.read(limit + 1)
        except EOFError:
            raise ValueError(f"{origin} is truncated: its gzip stream ends too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{origin} is not a sound gzip file: {error}") from None
    if len(content) > limit:
        raise ValueError(f"{origin} holds more than the {limit:,} bytes of this data set's file")
    return content


def parse_idx(data: bytes, origin: str, ndim: int) -> UInt8[np.ndarray, "..."]:
    """Read an IDX file of unsigned bytes with `ndim` dimensions.

    `origin` names the file in error messages.

    **Raises:** `ValueError` if the magic number, the number of dimensions or the length is wrong.
    """
    expected = bytes((0, 0, _UNSIGNED_BYTE, ndim))
    start = 4 + 4 * ndim
    if len(data) < start or data[:4] != expected:
        raise ValueError(
            f"{origin} does not start with the IDX magic number 0x{expected.hex()} but with "
            f"0x{data[:4].hex()}"
        )
    shape = struct.unpack(f">{ndim}I", data[4:start])
    promised = math.prod(shape)
    if len(data) - start != promised:
        raise ValueError(
            f"{origin} promises {' x '.join(map(str, shape))} = {promised} bytes in its header "
            f"but holds {len(data) - start}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
