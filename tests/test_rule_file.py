import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import hebbax as hx
from hebbax import _files
from hebbax.rule_file import read_rule_file
from hebbax.rules.blur import SynapseNormalization

RULES = {
    "blur": hx.Blur(genome_init="random"),
    "blur options": hx.Blur(
        states=3, symmetric=True, oja="first", saturation="tanh",
        synapse_normalization=SynapseNormalization(learn=True), learn_synapse_gain=True,
        init_scale=0.3, last_activation="sigmoid",
    ),
    "blur layers": hx.Blur(layer_genomes=3, init_scale=0.2),
    "backprop": hx.Backprop("momentum", learning_rate=0.3, activation="relu"),
    "hebbian": hx.Hebbian(oja=False),
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.safetensors"


@pytest.fixture
def parts(path, key):
    """Return the arrays and the metadata of a good rule file."""
    rule = hx.Blur()
    hx.save_rule(path, rule, rule.init(key), {"title": "a card"})
    with safe_open(path, "numpy") as file:
        return {n: file.get_tensor(n) for n in file.keys()}, file.metadata()


@pytest.fixture
def refused(path):
    """Return a function that writes arrays and metadata and returns why they are refused."""

    def run(arrays, metadata):
        _files.write_arrays(path, arrays, metadata)
        with pytest.raises(hx.RuleFileError) as caught:
            hx.load_rule(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    return run


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_round_trip(path, rule):
    theta = rule.init(jax.random.key(4))
    card = {"title": "ä", "measured": [1, 0.5, None]}
    hx.save_rule(path, rule, theta, card)
    again, read, read_card = read_rule_file(path)
    assert again == rule
    assert read_card == card
    assert jax.tree.structure(read) == jax.tree.structure(theta)
    for a, b in zip(jax.tree.leaves(read), jax.tree.leaves(theta), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    loaded_rule, loaded = hx.load_rule(str(path))
    assert loaded_rule == rule
    assert jax.tree.structure(loaded) == jax.tree.structure(theta)


def test_transposed_views_are_written_in_order(path, key):
    rule = hx.Blur(genome_init="random")
    theta = jax.tree.map(lambda a: np.asarray(a).T, rule.init(key))
    hx.save_rule(path, rule, theta)
    jax.tree.map(np.testing.assert_array_equal, hx.load_rule(path)[1], theta)


def test_what_is_in_the_file(parts):
    arrays, metadata = parts
    assert {"nu", "mu", "nu_tilde", "mu_tilde", "f", "eta"} < set(arrays)
    assert metadata["family"] == "Blur"
    assert json.loads(metadata["hyperparameters"])["states"] == 2
    assert json.loads(metadata["card"]) == {"title": "a card"}


def test_overwriting_leaves_one_file(path, key):
    for rule in (hx.Hebbian(), hx.Backprop()):
        hx.save_rule(path, rule, rule.init(key))
    assert hx.load_rule(path)[0] == hx.Backprop()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_missing_file(path):
    with pytest.raises(FileNotFoundError, match=r"there is no rule file .*some\.safetensors"):
        hx.load_rule(path)


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_truncated(path, parts, left):
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(hx.RuleFileError, match=r"some.safetensors is truncated or not"):
        hx.load_rule(path)


def test_a_flipped_bit_is_damage(path, parts):
    """Of the numbers: the header has a shape that would notice, most of the time."""
    whole = path.read_bytes()
    for at in range(len(whole) - 4 * sum(a.size for a in parts[0].values()), len(whole), 7):
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        path.write_bytes(content)
        with pytest.raises(hx.RuleFileError, match=r"is damaged: .*the digest differs"):
            hx.load_rule(path)


def test_a_file_without_a_digest_is_read_with_a_word(path, parts):
    arrays, metadata = parts
    kept = {n: v for n, v in metadata.items() if not n.startswith("digest")}
    save_file(arrays, path, metadata=kept)
    with pytest.warns(RuntimeWarning, match="without a digest of its content") as warned:
        rule, _ = hx.load_rule(path)
    assert rule == hx.Blur()
    assert len(warned) == 1


@pytest.mark.parametrize(
    "content", [b"GIF89a" + bytes(100), b"\x80\x04\x95cos\nsystem\n", b"\xff" * 64]
)
def test_not_safetensors(path, content):
    path.write_bytes(content)
    with pytest.raises(hx.RuleFileError, match=r"some.safetensors is truncated or not"):
        hx.load_rule(path)


def test_of_another_program(refused, parts):
    assert "of another program" in refused(parts[0], {})
    assert "of another program" in refused({"weight": np.ones(3)}, {"format": "pt"})


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_of_another_program_with_types_numpy_lacks(path, dtype):
    size = 2 if dtype == "BF16" else 1
    header = json.dumps({"w": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(hx.RuleFileError, match=r"some.safetensors is a .* of another program"):
        hx.load_rule(path)


def test_newer_format(refused, parts):
    message = refused(parts[0], {**parts[1], "hebbax_format": "3"})
    assert "format 3" in message
    assert "install a newer one" in message


@pytest.mark.parametrize("text", ["new", "", "²", "-1"])
def test_format_that_is_no_number(refused, parts, text):
    assert "which is no number" in refused(parts[0], {**parts[1], "hebbax_format": text})


def test_unknown_family(refused, parts):
    message = refused(parts[0], {**parts[1], "family": "Blurr"})
    assert "'Blurr'" in message
    known = "Backprop, ContinualBackprop, Ensemble, FeedbackAlignment, Hebbian, MetaRnn, Blur, "
    assert f"knows {known}UnsupervisedRule, Vsml." in message


def test_arrays_that_do_not_fit(refused, parts):
    arrays, metadata = parts
    fewer = {n: a for n, a in arrays.items() if n != "nu"}
    assert "the array 'nu' is missing" in refused(fewer, metadata)
    more = {**arrays, "xi": np.ones(2, np.float32)}
    assert "the array 'xi' does not belong there" in refused(more, metadata)
    other = {**arrays, "nu": np.ones((3, 3), np.float32)}
    assert "'nu' is float32[3, 3], not float32[2, 2]" in refused(other, metadata)
    other = {**arrays, "nu": np.ones((2, 2), np.int32)}
    assert "'nu' is int32[2, 2], not float32[2, 2]" in refused(other, metadata)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"states": 1}, "states must be a whole number of at least 2"),
        ({"oja": "half"}, "oja: form must be one of"),
        ({"colour": "red"}, "colour"),
        ({"states": "two"}, ""),
    ],
)
def test_bad_hyperparameters(refused, parts, changed, reason, unchecked):
    arrays, metadata = parts
    text = json.dumps({**json.loads(metadata["hyperparameters"]), **changed})
    assert reason in refused(arrays, {**metadata, "hyperparameters": text})


@pytest.mark.parametrize("name", ["hyperparameters", "card"])
def test_broken_metadata(refused, parts, name):
    arrays, metadata = parts
    assert "does not fit" in refused(arrays, {**metadata, name: "{"})
    assert "does not fit" in refused(arrays, {n: v for n, v in metadata.items() if n != name})


def test_folder_that_cannot_be_written(tmp_path, key):
    (tmp_path / "file").write_text("kept")
    rule = hx.Hebbian()
    with pytest.raises(OSError, match="file"):
        hx.save_rule(tmp_path / "file" / "some.safetensors", rule, rule.init(key))
    (tmp_path / "some.safetensors").mkdir()
    with pytest.raises(OSError, match=r"some.safetensors"):
        hx.save_rule(tmp_path / "some.safetensors", rule, rule.init(key))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "some.safetensors"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path, key):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        hx.save_rule(folder / "some.safetensors", hx.Hebbian(), hx.Hebbian().init(key))
    assert not [*folder.iterdir()]


def test_disk_that_fills_keeps_the_old_file(path, key, monkeypatch):
    hx.save_rule(path, hx.Hebbian(), hx.Hebbian().init(key))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        hx.save_rule(path, hx.Backprop(), hx.Backprop().init(key))
    assert hx.load_rule(path)[0] == hx.Hebbian()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_function_cannot_be_written(path, key):
    rule = hx.Backprop(optax.rmsprop)
    with pytest.raises(ValueError, match=r"optimizer = <function rmsprop .* cannot be written"):
        hx.save_rule(path, rule, rule.init(key))
    assert not path.exists()


def test_a_card_that_is_no_json(path, key):
    with pytest.raises(ValueError, match="the card of this Hebbian cannot be written"):
        hx.save_rule(path, hx.Hebbian(), hx.Hebbian().init(key), {"x": object()})
    assert not path.exists()


def test_theta_of_another_rule(path, key):
    with pytest.raises(ValueError, match="theta does not fit the Blur: the array"):
        hx.save_rule(path, hx.Blur(), hx.Hebbian().init(key))
    with pytest.raises(ValueError, match=r"theta does not fit the Blur: .*float32\[3, 3\]"):
        hx.save_rule(path, hx.Blur(), hx.Blur(states=3).init(key))
    assert not path.exists()


def test_no_pickle(path, parts):
    """The file is a header of JSON and numbers: nothing in it can be run."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]
    assert all(entry["dtype"] == "F32" for entry in header.values())
    assert len(content) == 8 + length + 4 * sum(a.size for a in parts[0].values())


def test_the_rule_read_computes_the_same(path, key):
    rule = hx.Blur(init_scale=0.1)
    theta = rule.init(key)
    hx.save_rule(path, rule, theta)
    again, read = hx.load_rule(path)
    net = rule.init_network(theta, key, (3, 2))
    x, y = jnp.ones((4, 3)), jax.nn.one_hot(jnp.arange(4) % 2, 2)
    jax.tree.map(
        np.testing.assert_array_equal,
        again.update(read, net, x, y),
        rule.update(theta, net, x, y),
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("rule", ["blur/toy", None, hx.Blur, 3])
def test_what_is_no_rule_is_not_saved(rule, tmp_path, key):
    with pytest.raises(ValueError, match=r"rule must be one such as hebbax\.Blur"):
        hx.save_rule(tmp_path / "rule.safetensors", rule, hx.Blur().init(key))
