"""Files are written whole, where they are, and nothing but files is written."""

import os
import stat

import jax
import pytest

import hebbax as hx
from hebbax._cache import others_can_write


@pytest.fixture(scope="module")
def rule():
    rule = hx.Hebbian()
    return rule, rule.init(jax.random.key(0))


def test_a_link_is_kept_and_its_file_is_written(tmp_path, rule):
    target, link = tmp_path / "there" / "target.safetensors", tmp_path / "link.safetensors"
    link.symlink_to(target)
    for _ in range(2):
        hx.save_rule(link, *rule)
        assert link.is_symlink()
        assert not target.is_symlink()
        assert hx.load_rule(target)[0] == rule[0]


def test_a_circle_of_links_is_refused(tmp_path, rule):
    path = tmp_path / "a"
    path.symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(path)
    with pytest.raises(OSError, match="not a regular file"):
        hx.save_rule(path, *rule)
    assert path.is_symlink()


def test_the_mode_of_a_file_is_kept(tmp_path, rule):
    path = tmp_path / "some.safetensors"
    hx.save_rule(path, *rule)
    for mode in (0o600, 0o664, 0o640):
        path.chmod(mode)
        hx.save_rule(path, *rule)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_pipes_and_devices_are_refused(tmp_path, rule):
    pipe, link = tmp_path / "pipe", tmp_path / "full"
    os.mkfifo(pipe)
    link.symlink_to("/dev/full")
    for path in (pipe, link, "/dev/full", "/dev/null"):
        with pytest.raises(OSError, match="not a regular file"):
            hx.save_rule(path, *rule)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "pipe"]
    with pytest.raises(IsADirectoryError):
        hx.save_rule("", *rule)


def test_a_cache_that_others_can_write_is_not_used(tmp_path):
    folder = tmp_path / "cache" / "xla"
    folder.mkdir(parents=True, mode=0o700)
    assert others_can_write(folder) is None
    for mode in (0o770, 0o702, 0o1777):
        folder.chmod(mode)
        assert "others can write" in others_can_write(folder)
    folder.chmod(0o700)
    folder.parent.chmod(0o777)
    assert f"others can write {folder.parent}" in others_can_write(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_cache_of_another_user_is_not_used(tmp_path):
    folder = tmp_path / "cache" / "xla"
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 12345, 12345)
    assert "belongs to another user" in others_can_write(folder)
