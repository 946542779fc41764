"""Where downloads and compiled programs are kept."""

import os
from pathlib import Path

import pooch

VARIABLE = "HEBBAX_CACHE"


def cache_folder() -> Path:
    """Return `$HEBBAX_CACHE`, or the user's cache folder for hebbax."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else Path(pooch.os_cache("hebbax"))
