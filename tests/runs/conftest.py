"""A run that nothing stopped, and ways to stop others."""

import shutil

import pytest
from tiny import train

from hebbax.outer.engines import CompiledEngine, SearchEngine
from hebbax.runs import _run as run_module


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Return the result and the folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight")
    return train(folder), folder


@pytest.fixture
def copied(straight, tmp_path):
    """Return the folder of such a run, to do with as one likes."""
    return shutil.copytree(straight[1], tmp_path / "copied")


class Interrupter:
    """Stands in for the progress bar and interrupts at a step."""

    at = None

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, done, note=""):
        if done == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that trains until a step, where ^C is pressed."""

    def run(at, directory, **changes):
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "Progress", type("At", (Interrupter,), {"at": at}))
            with pytest.raises(KeyboardInterrupt):
                train(directory, **changes)

    return run


@pytest.fixture
def no_compilation(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is left to do, so nothing is to be compiled")

    for engine in (CompiledEngine, SearchEngine):
        monkeypatch.setattr(engine, "compile", refuse)
