import json
import os
import re
import struct

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from hebbax import Backprop, Blur, Hebbian, MetaRnn, Vsml, data, save_rule, zoo
from hebbax.cli import _zoo_table as zoo_table
from hebbax.cli._rule import find_rule


def test_show_prints_labelled_matrices(hebbax, rule_file):
    outcome = hebbax("show", rule_file)
    assert outcome.status == 0
    for text in (
        "Blur, 29 meta-parameters",
        "feedback: error",
        "  synapse_normalization:\n    form: activations\n    learn: yes",
        "  neurons, forward\n",
        "from state",
        "to state 1      +1.0000  +0.0000",
        "from neuron state 0      +1.0000",
        "+0.1000  synapses are updated",
        "rescale             +1.0000",
        "title: a rule for tests",
    ):
        assert text in outcome.out


def test_show_prints_cards_as_tables(hebbax):
    out = hebbax("show", "blur/lasting").out
    card = out[out.index("\ncard") :]
    assert "  limits:\n    - level with tuned Adam" in card
    assert "    data digits" in card
    assert not [number for number in re.findall(r"\d\.\d+", card) if len(number) > 8]


def test_show_obeys_no_card(hebbax, tmp_path):
    rule, path = Blur(), tmp_path / "rule.safetensors"
    card = {"title": "\x1b]0;x\x07", "options": {"hidden": ["a", 3]}, "results": [None, {"a": []}]}
    save_rule(path, rule, rule.init(jax.random.key(0)), card)
    outcome = hebbax("show", path)
    assert outcome.status == 0
    assert "\x1b" not in outcome.out


def test_show_json(hebbax, rule_file):
    shown = hebbax("show", rule_file, "--json").json
    assert shown["family"] == "Blur"
    assert shown["states"] == 2
    assert shown["hyperparameters"] == {
        "feedback": "error",
        "synapse_normalization": {"form": "activations", "learn": True, "bounded": False},
    }
    assert np.shape(shown["theta"]["nu_tilde"]) == (2, 2)
    assert shown["card"] == {"title": "a rule for tests"}


def test_show_counts_meta_parameters_and_learned_variables(hebbax, refused, tmp_path):
    rule = Vsml()
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    out = hebbax("show", tmp_path).out
    assert "Vsml, 2,772 meta-parameters" in out
    assert "250,880 learned variables φ in a network of 784-10" in out
    # No one reads a thousand numbers. Messages from a hidden layer downwards are stored too.
    assert "[16, 64]  root mean square" in out
    assert len(out) < 4000
    other = hebbax("show", tmp_path, "--sizes", 4, 3, 2, "--json").json
    assert other["network"] == {"sizes": [4, 3, 2], "learned_variables": (12 + 6) * 32 + 3 * 10}
    line = refused("show", tmp_path, "--sizes", 4)
    assert line.startswith("hebbax: --sizes 4: ")


def test_show_writes_equations(hebbax, refused, tmp_path):
    rule = Hebbian()
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    out = hebbax("show", tmp_path, "--latex").out
    assert out.count("align*") == 2
    assert "only one of --latex, --check-locality" in refused("show", tmp_path, "--latex", "--json")


def test_show_checks_locality(hebbax, refused, tmp_path):
    rule = Hebbian()
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    out = hebbax("show", tmp_path, "--check-locality").out
    assert "local: a synapse uses nothing but itself" in out
    rule = Backprop()
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    for option in ("--latex", "--check-locality"):
        assert "Backprop" in refused("show", tmp_path, option)


def test_show_does_not_count_what_a_rule_does_not_fit(hebbax, refused, tmp_path):
    rule = MetaRnn(inputs=3, outputs=2, state_size=4)
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    assert "learned variables" not in hebbax("show", tmp_path).out
    assert "learned variables" in hebbax("show", tmp_path, "--sizes", 3, 2).out
    assert "(3, 2)" in refused("show", tmp_path, "--sizes", 784, 10)


def test_show_a_genome_for_each_layer(hebbax, tmp_path):
    rule = Blur(layer_genomes=2)
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    out = hebbax("show", tmp_path).out
    assert "synapse layer 1 of 2" in out
    assert out.count("μ̃  postsynaptic") == 2
    assert out.count("forward_deviation   +1.0000 +1.0000") == 2
    assert out.count("backward_deviation  +1.0000 +1.0000") == 2


def test_rules_lists_the_zoo(hebbax):
    listed = hebbax("rules", "--json").json
    assert [rule["name"] for rule in listed] == list(zoo.list())
    # The list is made of the files' headers, by themselves.
    wholes = [find_rule(name).summary() for name in zoo.list()]
    assert listed == [{**whole, "path": str(whole["path"])} for whole in wholes]
    outcome = hebbax("rules")
    assert outcome.status == 0
    assert all(name in outcome.out for name in zoo.list())


TABLES = ("batches", "convolutional", "clone", "online", "features")


def test_rules_evaluate(hebbax, monkeypatch):
    whole = zoo_table.tables(("digits",), updates=5, seeds=2)
    assert [table.name for table in whole] == list(TABLES)
    assert set(zoo.list()) <= {name for table in whole for _, name in table.cells}
    keep = {"blur/mnist", "vsml/online", zoo_table.ADAM, "unsupervised/small", "PCA"}

    def fewer(on, **settings):
        return tuple(
            table._replace(learners={n: f for n, f in table.learners.items() if n in keep})
            for table in zoo_table_tables(on, **settings)
            if table.name in ("batches", "online", "features")
        )

    zoo_table_tables = zoo_table.tables
    monkeypatch.setattr("hebbax.cli._zoo_table.TASKS", ("digits",))
    monkeypatch.setattr("hebbax.cli._zoo_table.tables", fewer)
    outcome = hebbax("rules", "--evaluate", "--seeds", 2, "--updates", 5, "--json")
    ours, adam = outcome.json["batches"]
    assert (ours["rule"], ours["task"], ours["updates"]) == ("blur/mnist", "digits", [5])
    assert ours["accuracy"][0]["mean"] > adam["accuracy"][0]["mean"] > 0.3
    table = zoo_table.markdown([ours, {**adam, "accuracy": [None]}], "updates")
    assert f"| {ours['accuracy'][0]['mean']:.3f}" in table
    assert table.endswith("| overflow |")
    online = outcome.json["online"]
    assert [row["rule"] for row in online] == ["vsml/online", zoo_table.ADAM]
    assert all(row["examples"] == [50] and row["task"] == "digits" for row in online)
    # Ten classes: better than chance, and below what a trained network reaches.
    assert all(0.15 < row["accuracy"][0]["mean"] < 0.9 for row in online)
    assert "| 50 " in zoo_table.markdown(online, "examples")
    learnt, pca = outcome.json["features"]
    assert learnt["labelled"] == [5, 10, 20]
    assert all(a["mean"] > 0.5 for row in (learnt, pca) for a in row["accuracy"])
    refused = hebbax("rules", "--updates", 4)
    assert refused.status == 2
    assert "updates must be at least 5; got 4" in refused.err


def test_every_opponent_of_every_rule():
    plain, matched = (
        zoo_table.tables(("digits",), updates=5, seeds=1, matched=m) for m in (False, True)
    )
    assert [t.name for t in plain] == [t.name for t in matched]
    batches = matched[0].learners
    assert {zoo_table.ADAM, "Muon", "Adam, normalised", "blur/lasting, not meta-trained"} <= set(
        batches
    )
    assert {"Adam, normalised in all layers"} <= set(matched[1].learners)
    (found,) = matched[0].learners["SGD"]("digits")
    assert 0.2 < found["mean"] < 1


ROW = {"table": "batches", "task": "digits", "rule": "blur/toy", "updates": [5],
       "accuracy": [{"mean": 0.25, "std": 0}]}  # fmt: skip


def one_row(measure):
    return zoo_table.Table(
        "batches", "caption", "updates", (5,), ("digits",), {"blur/toy": measure}
    )


def test_rows_of_the_table_are_kept(tmp_path):
    file = tmp_path / "rows.jsonl"
    cell = ("digits", "blur/toy")
    first = one_row(lambda _: ROW["accuracy"])
    assert zoo_table.Kept(file, {"seeds": 2}).row(first, *cell) == ROW
    again = one_row(lambda _: pytest.fail("again"))
    assert zoo_table.Kept(file, {"seeds": 2}).row(again, *cell) == ROW
    assert zoo_table.Kept(file, {"seeds": 3}).rows == {}
    file.write_text("{}\n")
    with pytest.raises(ValueError, match=r"rows\.jsonl does not hold the rows of a table"):
        zoo_table.Kept(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ValueError, match="is not a regular file"):
        zoo_table.Kept(file)


def test_rules_evaluate_says_how_long_and_prints_what_it_has(hebbax, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    table = one_row(lambda _: ROW["accuracy"])
    table = table._replace(learners={**table.learners, "blur/cma": stop})
    monkeypatch.setattr("hebbax.cli._zoo_table.tables", lambda *_, **__: (table,))
    outcome = hebbax("rules", "--evaluate")
    assert outcome.status == 130
    assert "2 learners are to be measured, which takes some" in outcome.err
    assert "| blur/toy | 0.250 |" in outcome.out


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-8])


def _foreign(path):
    save_file({"a": np.zeros(3)}, path)


def _text(path):
    path.write_text("not a rule")


def _newer(path):
    blob = path.read_bytes()
    size = struct.unpack("<Q", blob[:8])[0]
    header = json.loads(blob[8 : 8 + size])
    header["__metadata__"]["hebbax_format"] = "99"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob[8 + size :])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_truncated, "truncated"),
        (_text, "truncated or not a safetensors file"),
        (_foreign, "of another program"),
        (_newer, "rule-file format 99"),
    ],
)
@pytest.mark.parametrize("words", [["show"], ["evaluate", "--task", "xor"]])
def test_spoilt_rule_files(refused, rule_file, spoil, why, words):
    spoil(rule_file)
    line = refused(words[0], rule_file, *words[1:])
    assert f"RULE {rule_file}: " in line
    assert why in line


def test_unknown_rules(refused, tmp_path):
    assert "RULE must be a rule file, a run directory or a shipped rule" in refused("show", "no")
    (tmp_path / "empty").mkdir()
    assert "a folder without a rule.safetensors" in refused("show", tmp_path / "empty")


def test_data_list(hebbax):
    listed = hebbax("data", "list", "--json").json
    assert [row["name"] for row in listed] == [info.name for info in data.available()]
    outcome = hebbax("data", "list")
    assert outcome.status == 0
    assert "breast_cancer" in outcome.out


def test_data_fetch_bundled(hebbax):
    outcome = hebbax("data", "fetch", "iris")
    assert (outcome.status, outcome.err) == (0, "")
    assert "nothing to fetch" in outcome.out


@pytest.mark.data
def test_data_fetch_finds_what_is_here(hebbax):
    assert "mnist is in " in hebbax("data", "fetch", "mnist").out


def test_bad_data(refused, tmp_path, monkeypatch):
    assert "NAME must be one of mnist, " in refused("data", "fetch", "mnits")
    assert "Did you mean 'mnist'?" in refused("data", "fetch", "mnits")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path / "nowhere"))
    assert "HEBBAX_DATA is" in refused("data", "list")


def test_no_network(refused, tmp_path, monkeypatch):
    def fail(*_args, **_settings):
        raise ConnectionError("no network")

    monkeypatch.setattr("pooch.retrieve", fail)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    line = refused("data", "fetch", "kmnist")
    assert line.startswith("hebbax: NAME kmnist: ")
    assert "could not be downloaded" in line
    assert str(tmp_path) in line
