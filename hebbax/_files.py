"""Writing files whole or not at all."""

import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

_PREFIX, _SUFFIX = ".hebbax-unfinished-", ".tmp"
# Between them what `mkstemp` puts there.
_TEMPORARY = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}" + re.escape(_SUFFIX))
_KIND, _NONE = b'"digest_kind":"sha256"', b"0" * 64
_MARK = b'"digest":"'


def write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all, with a digest of all its bytes.

    The metadata `digest` is the SHA-256 of the file with zeros in the digest's own place, and
    `digest_kind` says that there is one.

    **Raises:** `OSError` if the folder cannot be made or written, or the disk is full.
    """
    # Not `save_file`, whose failures to write are no `OSError`.
    empty = {**metadata, "digest": _NONE.decode(), "digest_kind": "sha256"}
    content = seal(save(arrays, metadata=empty))
    write_whole(path, lambda p: p.write_bytes(content))


def seal(content: bytes) -> bytes:
    """Return the bytes of a safetensors file with their digest where it holds one."""
    # Quotation marks within a value are escaped, so this is found nowhere else in a header.
    begin = content.index(_MARK) + len(_MARK)
    end = begin + len(_NONE)
    digest = hashlib.sha256(content[:begin] + _NONE + content[end:]).hexdigest().encode()
    return content[:begin] + digest + content[end:]


def check_digest(content: bytes) -> bool:
    """Return whether the bytes of a safetensors file hold a digest, as `write_arrays` gives it.

    **Raises:** `ValueError` if they hold one, or a part of one, that is not theirs.
    """
    header = content[: 8 + int.from_bytes(content[:8], "little")]
    begin = header.find(_MARK)
    if begin < 0 and _KIND not in header:
        return False
    if begin < 0 or _KIND not in header or seal(content) != content:
        raise ValueError("its content is not what was written: the digest differs")
    return True


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, flush it to the disk, then rename it.

    A process killed at any moment leaves the old file or the new one, never a part. A file that
    is there keeps its mode; where there is a link, the file it leads to is written.

    **Raises:** `OSError` if the folder cannot be made or written, or `path` is no regular file.
    """
    path = Path(os.path.realpath(path))
    mode = _mode(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=_SUFFIX)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """Return the mode of a file, or that of new files. **Raises:** `OSError` for other things."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        # mkstemp makes files private; a result is as readable as any other new file.
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file", str(path))
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "this is not a regular file", str(path))
    return stat.S_IMODE(found)


def remove_temporary(folder: Path) -> None:
    """Remove what `write_whole` left in `folder` when its process was killed, and nothing else."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if _TEMPORARY.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
            path.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a renaming in `folder` outlast a power cut, where folders can be opened at all."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
