"""Finding a data set's files: `$HEBBAX_DATA`, then the user's cache, then the official place."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pooch

from hebbax._cache import cache_folder
from hebbax.data._sources import SOURCES, File, FileLayout, Source, source

ENVIRONMENT = "HEBBAX_DATA"


@dataclass(frozen=True)
class DatasetInfo:
    """One row of `available()`."""

    name: str
    description: str
    classes: int
    """Number of classes of the training part; 964 for Omniglot."""
    shape: tuple[int, ...]
    """Shape of one official example."""
    url: str
    licence: str
    citation: str
    found: Path | str | None
    """The folder that holds it, `"bundled"` with scikit-learn, or None if it is not here yet."""


def roots(directory: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    """The folders to search. A `directory` given by hand is the only one searched.

    **Raises:** `NotADirectoryError` if `directory` or `$HEBBAX_DATA` names no folder.
    """
    if directory is not None:
        root = Path(directory)
        if not root.is_dir():
            raise NotADirectoryError(f"directory {str(root)!r} is not a folder that exists")
        return (root,)
    value = os.environ.get(ENVIRONMENT)
    if not value:
        return (cache_folder(),)
    root = Path(value).expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"{ENVIRONMENT} is {value!r}, which is not a folder that exists")
    return (root, cache_folder())


def locate(entry: Source, places: tuple[Path, ...]) -> tuple[FileLayout, tuple[Path, ...]] | None:
    """The first layout all of whose files lie in one of `places`, and where; None if none does."""
    for layout in entry.layouts:
        found = tuple(_find(entry, file.name, places) for file in layout.files)
        if all(path is not None for path in found):
            return layout, tuple(path for path in found if path is not None)
    return None


def _find(entry: Source, name: str, places: tuple[Path, ...]) -> Path | None:
    for place in places:
        for folder in entry.folders:
            path = place / folder / name
            if path.is_file():
                return path
            if path.exists():
                raise ValueError(f"{path} is not a regular file, so nothing is read from it")
    return None


def refuse_foreign(entry: Source, layout: FileLayout, paths: tuple[Path, ...]) -> None:
    """Refuse a file that is, byte for byte, another official file, or a damaged official one.

    **Raises:** `ValueError` naming the file and what it really is.
    """
    for file, path in zip(layout.files, paths, strict=True):
        size = path.stat().st_size
        # Hashing hundreds of megabytes at every load is slow; no file whose length fits no
        # official one can be an official one.
        others = [
            (other.title, known)
            for other in SOURCES.values()
            if other.download is not None
            for known in other.download.files
            if known.size == size and known.sha256 != file.sha256
        ]
        if not others and file.size != size:
            continue
        digest = sha256(path)
        for title, known in others:
            if known.sha256 == digest:
                raise ValueError(
                    f"{path} is the {title} file {known.name}, not {entry.title}'s {file.name}"
                )
        if file.size == size and file.sha256 != digest:
            raise ValueError(
                f"{path} is damaged: it is as long as the official file, but its SHA-256 is not "
                f"{file.sha256}"
            )


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(entry: Source, places: tuple[Path, ...]) -> tuple[FileLayout, tuple[Path, ...]]:
    """Download those official files that are in none of `places` into the cache.

    **Raises:** `FileNotFoundError` if they cannot be had; `ValueError` if they are not what the
    register says.
    """
    if entry.download is None:
        wanted = " or ".join(" + ".join(f.name for f in lay.files) for lay in entry.layouts)
        raise FileNotFoundError(
            f"{entry.title} is not found and cannot be downloaded automatically: get it from "
            f"{entry.homepage} and put {wanted} into {_destination(entry)}"
        )
    folder = cache_folder() / entry.folders[0]
    files = entry.download.files
    return entry.download, tuple(
        _find(entry, file.name, places) or _retrieve(entry, file, folder) for file in files
    )


def _retrieve(entry: Source, file: File, folder: Path) -> Path:
    if file.url is None or file.sha256 is None:
        raise AssertionError(f"{file.name} has no address or no checksum in the register")
    try:
        return Path(pooch.retrieve(file.url, f"sha256:{file.sha256}", file.name, folder))
    except ValueError as error:
        raise ValueError(
            f"{file.url} does not serve the {entry.title} file with the known SHA-256 "
            f"{file.sha256}; nothing was kept"
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise FileNotFoundError(
            f"{entry.title} file {file.name} is not found and could not be downloaded from "
            f"{file.url} ({type(error).__name__}): put it into {_destination(entry)}"
        ) from error


def _destination(entry: Source) -> str:
    """Where to put files by hand: under `$HEBBAX_DATA` if that is set, else under the cache."""
    value = os.environ.get(ENVIRONMENT)
    return str((Path(value).expanduser() if value else cache_folder()) / entry.folders[0])


def files_of(
    entry: Source, directory: str | os.PathLike[str] | None
) -> tuple[FileLayout, tuple[Path, ...]]:
    """Find, or download, the files of `entry`; foreign files are refused.

    **Raises:** `FileNotFoundError` naming file, address and folder; `ValueError` for foreign files.
    """
    places = roots(directory)
    found = locate(entry, places)
    if found is None and directory is not None:
        wanted = (entry.download or entry.layouts[0]).files
        missing = [file for file in wanted if _find(entry, file.name, places) is None]
        raise FileNotFoundError(
            f"{entry.title} needs {', '.join(file.name for file in missing)} in "
            f"{places[0] / entry.folders[0]}: get it from {missing[0].url or entry.homepage}"
        )
    layout, paths = found if found is not None else download(entry, places)
    refuse_foreign(entry, layout, paths)
    return layout, paths


def fetch(name: str) -> Path:
    """Make sure the files of data set `name` are on this machine, and say in which folder.

    Nothing is downloaded if they are already in `$HEBBAX_DATA` or in the cache.

    **Raises:** `ValueError` for unknown names and for sets bundled with scikit-learn, which need no
    files; `FileNotFoundError` if the files cannot be had.
    """
    entry = source(name)
    if not entry.layouts:
        raise ValueError(f"{name} comes with scikit-learn: there is nothing to fetch")
    return files_of(entry, None)[1][0].parent


def available() -> tuple[DatasetInfo, ...]:
    """All data sets `load` knows, and which of them are on this machine. Reads no file."""
    places = roots(None)
    return tuple(_info(entry, places) for entry in SOURCES.values())


def _info(entry: Source, places: tuple[Path, ...]) -> DatasetInfo:
    found: Path | str | None = "bundled"
    if entry.layouts:
        located = locate(entry, places)
        found = None if located is None else located[1][0].parent
    url = entry.homepage
    if entry.download is not None and entry.download.files[0].url is not None:
        url = entry.download.files[0].url
    return DatasetInfo(
        name=entry.name,
        description=entry.description,
        classes=964 if entry.name == "omniglot" else len(entry.class_names),
        shape=entry.shape,
        url=url,
        licence=entry.licence,
        citation=entry.citation,
        found=found,
    )
