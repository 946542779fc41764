"""Where downloads and compiled programs are kept."""

import os
import stat
from pathlib import Path

import pooch

VARIABLE = "HEBBAX_CACHE"


def cache_folder() -> Path:
    """Return `$HEBBAX_CACHE`, or the user's cache folder for hebbax."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else Path(pooch.os_cache("hebbax"))


def others_can_write(folder: Path) -> str | None:
    """Return why others could put programs of their own into a folder; None if they cannot.

    **Raises:** `OSError` if there is no such folder.
    """
    if not hasattr(os, "geteuid"):
        return None
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        status = place.stat()
        own = place in (folder, folder.parent)
        if own and status.st_uid != os.geteuid():
            return f"{place} belongs to another user"
        # Groups often have one member, so a group's rights count in the folder itself only.
        writers = stat.S_IWOTH | (stat.S_IWGRP if place == folder else 0)
        # In a sticky folder, as /tmp, nobody can exchange what belongs to somebody else.
        if status.st_mode & writers and (place == folder or not status.st_mode & stat.S_ISVTX):
            return f"others can write {place}; take that right from them with chmod go-w"
    return None
