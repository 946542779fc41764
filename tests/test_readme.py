"""The Python in the README runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.M)


def test_there_is_python_to_run():
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_python_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, str(README), "exec"), names)
    if "save_rule" in block:
        assert (tmp_path / "xor.safetensors").exists()
        assert 0.5 < names["curves"].after(20).mean() <= 1
    if "cross_val_score" in block:
        assert 0.8 < names["scores"].mean() <= 1


def test_links_to_files_of_the_repository_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (README.parent / target).exists(), target
