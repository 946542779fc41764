"""Nothing of a card is trusted."""

import pytest

import hebbax as hx
from hebbax import _card
from hebbax.cli._card_lines import fields
from hebbax.cli._console import printable

JUNK = [
    None, 3, "text", [], {"options": None}, {"options": {"unrolls": -5, "hidden": "64"}},
    {"options": {"unrolls": ["a", 3], "hidden": [0]}}, {"options": {"unrolls": True}},
    {"options": {"unrolls": []}, "results": {"a": 1}}, {"results": [3, {"hidden": [1.5]}]},
    {"title": 5, "results": [{"depth": []}]},
    {"measured_updates": "2", "results": [{"updates": 5, "accuracy": [1]}, {"updates": ["9"]}]},
]  # fmt: skip


@pytest.mark.parametrize("card", JUNK, ids=str)
def test_junk_says_nothing(card):
    assert _card.title(card) in (None,)
    assert _card.trained_updates(card) is None
    assert _card.trained_hidden(card) is None
    assert _card.measured_depth(card) is None
    assert _card.measured_updates(card) is None
    assert all(line is not None for line in fields(_card.as_card(card)))


def test_what_a_card_says_is_found():
    card = {"options": {"unrolls": [10, 50], "hidden": [64]}, "results": [{"hidden": [8, 8]}]}
    assert _card.trained_updates(card) == 50
    assert _card.trained_hidden(card) == (64,)
    assert _card.measured_depth(card) == 2
    assert _card.measured_depth({"results": [{"depth": "deep"}]}) == 1
    assert _card.measured_updates(card) == 50
    results = {"results": [{"updates": [10, 99, 200], "accuracy": [{}, {}, None]}]}
    assert _card.measured_updates(results) == 99
    assert _card.measured_updates({**results, "measured_updates": 2000}) == 2000
    assert _card.trained_hidden(hx.zoo.card("vsml/online")) == ()


def test_terminals_are_told_nothing():
    assert printable("a\x1b[31mb\x9b\u202e\nc\td") == "a[31mb\nc\td"
    lines = [*fields({"title\x1b]0;x\x07": "\x1b[2J", "deep": {"\x1b": ["\x1b"]}})]
    assert not any("\x1b" in line for line in lines if isinstance(line, str))
