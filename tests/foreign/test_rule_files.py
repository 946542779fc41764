"""Whatever a rule file holds, it is read or refused by one clear error."""

import json
import os
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from mutations import STRANGE, damaged, forged_text

import hebbax as hx
from hebbax import zoo
from hebbax._files import seal
from hebbax.rule_file import ForeignRuleError, read_rule_file

RULES = {
    "blur": hx.Blur(states=2),
    "layers": hx.Blur(layer_genomes=2),
    "backprop": hx.Backprop(),
    "hebbian": hx.Hebbian(),
    "vsml": hx.Vsml(state_size=3, message_size=2, gains=(2.0, 1.0), coordinates=("layer",)),
    "rnn": hx.MetaRnn(inputs=2, outputs=2, state_size=3),
}
CARD = {"title": "a", "options": {"unrolls": [3, 4], "hidden": [2]}, "meta_steps": 3}


def parts(content):
    """Return the header, decoded, and what follows it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header, rest):
    """Return a file with a digest of its own, as whoever forges one can write it."""
    text = json.dumps(header, separators=(",", ":")).encode()
    content = struct.pack("<Q", len(text)) + text + rest
    return seal(content) if b'"digest":"' in content else content


def mutated(rng, content):
    """Return a rule file that is damaged, or forged in its header, its metadata or its numbers."""
    if rng.random() < 0.3:
        return damaged(rng, content)
    header, rest = parts(content)
    kind = rng.integers(4)
    if kind == 0:
        return joined(json.loads(text_or(forged_text(rng, json.dumps(header)), header)), rest)
    if kind == 1:
        rest = bytearray(rest)
        at = 4 * int(rng.integers(max(1, len(rest) // 4)))
        rest[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, -np.inf, 1e38])).tobytes()
        return joined(header, bytes(rest))
    name = str(rng.choice(["card", "hyperparameters", "hyperparameters", "family"]))
    if kind == 2 and rng.random() < 0.3:
        name = "hebbax_format"
    header["__metadata__"][name] = forged_text(rng, header["__metadata__"][name])
    return joined(header, rest)


def text_or(text, other):
    """Return `text` where it is JSON, so that the header at least is."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return json.dumps(other)
    return text


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    found = []
    for name, rule in RULES.items():
        path = folder / f"{name}.safetensors"
        hx.save_rule(path, rule, rule.init(jax.random.key(0)), CARD)
        found.append(path.read_bytes())
    return found


def _clear(error, path):
    """Check that the one line of an error names the file."""
    # The one other class is of files that name a rule that is not of hebbax.
    foreign = isinstance(error, ForeignRuleError) and "a rule that is not of hebbax" in str(error)
    assert foreign or type(error) is hx.RuleFileError
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 1000
    return False


def check(path):
    """Return whether a rule file was read; fail if it is neither read nor refused clearly."""
    try:
        rule, theta, card = read_rule_file(path)
    except hx.RuleFileError as error:
        return _clear(error, path)
    assert isinstance(card, dict)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(theta))
    hx.save_rule(path, rule, theta, card)
    assert hx.load_rule(path)[0] == rule
    return True


@pytest.mark.parametrize(
    "number", [300, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.usefixtures("unchecked")
def test_mutated_rule_files(originals, tmp_path, number):
    rng = np.random.default_rng(number)
    path = tmp_path / "some.safetensors"
    read = 0
    for index in range(number):
        path.write_bytes(mutated(rng, originals[index % len(originals)]))
        read += check(path)
    # Some damage does no harm, and some does.
    assert 0.02 * number < read < 0.6 * number


@pytest.fixture
def forge(tmp_path):
    """Return a function that writes a shipped rule's file with other metadata."""

    def run(name="blur/toy", **metadata):
        path = tmp_path / "some.safetensors"
        header, rest = parts(zoo.path(name).read_bytes())
        header["__metadata__"].update(metadata)
        path.write_bytes(joined(header, rest))
        return path

    return run


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"card": "[" * 10**5 + "]" * 10**5}, "more than 64 lists inside each other"),
        ({"card": '{"a": ' + "[" * 80 + "]" * 80 + "}"}, "more than 64 lists inside each other"),
        ({"card": "1" * 5000}, "card"),
        ({"hebbax_format": "1" * 5000}, "install a newer one"),
        ({"hebbax_format": "9" * 100_000}, "install a newer one"),
        ({"hebbax_format": "0"}, "the first one is 1"),
        ({"card": "null"}, "a card must hold names with values; got None"),
        ({"card": "3"}, "a card must hold names with values; got 3"),
        ({"card": '{"title": 3}'}, "title must be a text; got 3"),
        ({"card": '{"options": 3}'}, "options must be names with values; got 3"),
        ({"card": '{"options": {"unrolls": -5}}'}, "unrolls must be numbers of updates"),
        ({"card": '{"options": {"unrolls": ["a", 3]}}'}, "unrolls must be numbers of updates"),
        ({"card": '{"options": {"final": 1e999}}'}, "final must be numbers of updates"),
        ({"card": f'{{"options": {{"unrolls": {10**40}}}}}'}, "unrolls must be numbers"),
        ({"family": "x" * 10**5}, "holds a rule of the family 'xxx"),
    ],
)
def test_metadata_of_strangers(forge, metadata, why):
    path = forge(**metadata)
    with pytest.raises(hx.RuleFileError, match=why) as caught:
        hx.load_rule(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("blur/toy", {"states": 10**400}, "states must be a whole number"),
        ("blur/toy", {"states": True}, "states must be a whole number"),
        ("blur/toy", {"bias": "no"}, "bias must be True or False"),
        ("blur/toy", {"statistics_window": float("nan")}, "window must be a finite number"),
        ("blur/toy", {"synapse_update": 10**400}, "synapse_update must be a finite number"),
        ("blur/toy", {"init_scale": "a"}, "init_scale must be None or a finite number"),
        ("blur/toy", {"layer_genomes": 10**9}, "the array 'nu' is float32"),
        ("vsml/online", {"ticks": 10**9}, r"ticks must be a whole number in \[1, 100\]"),
        (
            "vsml/online",
            {"copies": 10**9, "batch": "half_averaged"},
            "copies must be a whole number in",
        ),
        ("vsml/online", {"coordinates": "layer"}, "coordinates must be a tuple"),
        ("vsml/online", {"gains": [1, None]}, "gains must be a tuple of 2"),
        ("unsupervised/small", {"hidden_channels": 10**9}, "does not fit the 'UnsupervisedRule'"),
        ("unsupervised/small", {"merge_init": {}}, "merge_init must be a finite number or a tuple"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_options_of_strangers(forge, name, options, why):
    header, _ = parts(zoo.path(name).read_bytes())
    before = json.loads(header["__metadata__"]["hyperparameters"])
    path = forge(name, hyperparameters=json.dumps({**before, **options}))
    with pytest.raises(hx.RuleFileError, match=why):
        hx.load_rule(path)


@pytest.mark.parametrize("value", STRANGE)
def test_options_that_are_no_names(forge, value):
    if isinstance(value, int) and abs(value) > 2**64:
        return
    with pytest.raises(hx.RuleFileError, match="does not fit"):
        hx.load_rule(forge(hyperparameters=json.dumps(value if value != {} else [])))


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite(tmp_path, number):
    rule, theta = zoo.load("blur/toy")
    path = tmp_path / "some.safetensors"
    hx.save_rule(path, rule, theta)
    bad = jax.tree.map(lambda a: np.full_like(a, number), theta)
    with pytest.raises(ValueError, match=r"theta does not fit the Blur: .* not finite"):
        hx.save_rule(path, rule, bad)
    header, rest = parts(path.read_bytes())
    path.write_bytes(joined(header, np.float32(number).tobytes() + rest[4:]))
    with pytest.raises(hx.RuleFileError, match="holds numbers that are not finite"):
        hx.load_rule(path)


def test_other_things_than_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "device"):
        with pytest.raises(hx.RuleFileError, match="is not a regular file"):
            hx.load_rule(path)
    long = tmp_path / "long.safetensors"
    with open(long, "wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(hx.RuleFileError, match="longer than"):
        hx.load_rule(long)
    with pytest.raises(hx.RuleFileError, match="cannot be read"):
        hx.load_rule(tmp_path / ("x" * 1000))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("card", "why"),
    [
        (1, "names with values; got 1"),
        ([], r"names with values; got \[\]"),
        ({"options": {"unrolls": 0}}, "unrolls must be numbers of updates"),
        ({"title": 1}, "title must be a text"),
    ],
)
def test_cards_that_could_not_be_read_are_not_written(tmp_path, card, why):
    rule, theta = zoo.load("blur/toy")
    with pytest.raises(ValueError, match=why):
        hx.save_rule(tmp_path / "some.safetensors", rule, theta, card)
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="more than 64 lists inside each other"):
        hx.save_rule(tmp_path / "some.safetensors", rule, theta, {"deep": deep})
    assert not [*tmp_path.iterdir()]


def test_a_rule_that_could_not_be_read_is_not_written(tmp_path):
    rule = hx.Backprop()
    theta = jax.tree.map(lambda a: a * float("inf"), rule.init(jax.random.key(0)))
    with pytest.raises(ValueError, match="numbers that are not finite"):
        hx.save_rule(tmp_path / "some.safetensors", rule, theta)
    assert not [*tmp_path.iterdir()]


X64 = """
import sys, jax, numpy as np
import hebbax as hx
from hebbax.cli import main
for name in hx.zoo.list():
    rule, theta = hx.zoo.load(name)
    assert {a.dtype for a in jax.tree.leaves(theta)} == {np.dtype(float)}, name
    if name == "blur/toy":
        hx.save_rule(sys.argv[1], rule, theta)
x = np.random.default_rng(0).normal(size=(40, 2))
y = (x[:, 0] > 0).astype(int)
assert hx.PlasticClassifier(sys.argv[1]).fit(x, y).score(x, y) > 0.6
assert main(["show", "blur/toy"]) == 0
assert main(["rules"]) == 0
"""


def test_double_precision(tmp_path):
    """The zoo is read under double precision, and what is saved there without it."""
    path = tmp_path / "double.safetensors"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", X64, str(path)],
        env={**os.environ, "JAX_ENABLE_X64": "1", "HEBBAX_CACHE": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "blur/toy: Blur, 30 meta-parameters" in done.stdout
    header, _ = parts(path.read_bytes())
    assert header["nu"]["dtype"] == "F64"
    rule, theta = hx.load_rule(path)
    single_rule, single = zoo.load("blur/toy")
    assert rule == single_rule
    jax.tree.map(np.testing.assert_array_equal, theta, single)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(theta))


def test_numbers_too_large_for_the_precision(tmp_path):
    rule = hx.Backprop()
    theta = jax.tree.map(lambda a: np.float64(1e300), rule.init(jax.random.key(0)))
    with pytest.raises(ValueError, match="'learning_rate' holds numbers too large for float32"):
        hx.save_rule(tmp_path / "some.safetensors", rule, theta)
