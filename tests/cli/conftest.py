"""What the tests of the command line share: a runner, and a folder for downloads."""

import dataclasses
import json

import jax
import pytest

from hebbax import Blur, save_rule
from hebbax.cli import main
from hebbax.rules.blur import SynapseNormalization


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory):
    """Keep downloads away from the user's cache."""
    # With the backend started, `main` leaves the devices of this process alone.
    jax.devices()
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEBBAX_CACHE", str(folder))
        yield folder


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def hebbax(capsys, tmp_path, monkeypatch):
    """Return a function that runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def refused(hebbax):
    """Return a function that runs a bad command line and returns its one line."""

    def run(*words):
        outcome = hebbax(*words)
        assert outcome.status == 2
        assert outcome.out == ""
        assert outcome.err.startswith("hebbax: ")
        assert outcome.err.endswith("\n")
        assert outcome.err.count("\n") == 1
        return outcome.err

    return run


@pytest.fixture
def rule_file(tmp_path):
    """Return a rule file: backpropagation as a genome of two states."""
    rule = Blur(feedback="error", synapse_normalization=SynapseNormalization(learn=True))
    path = tmp_path / "some.safetensors"
    save_rule(path, rule, rule.init(jax.random.key(0)), {"title": "a rule for tests"})
    return path
