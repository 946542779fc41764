import dataclasses
import gzip
from pathlib import Path

import numpy as np
import pooch
import pytest
from tiny_files import IDX, idx, write_mnist

from hebbax import data
from hebbax.data import _find, _sources


def test_unknown_name():
    with pytest.raises(
        ValueError, match=r"data set must be one of .*Did you mean 'mnist'"
    ) as error:
        data.load("minst")
    assert "fashion_mnist" in str(error.value)
    with pytest.raises(ValueError, match="breast_cancer"):
        data.fetch("breast")


def test_environment_before_cache(tmp_path, monkeypatch):
    cached, _, _, _ = write_mnist(_find.cache_folder() / "mnist", train=30)
    np.testing.assert_array_equal(data.load("mnist").train_x, cached)
    assert data.fetch("mnist") == _find.cache_folder() / "mnist"
    mine, _, _, _ = write_mnist(tmp_path / "mnist", train=20)
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    np.testing.assert_array_equal(data.load("mnist").train_x, mine)
    assert data.fetch("mnist") == tmp_path / "mnist"


def test_a_given_directory_is_the_only_one(tmp_path):
    write_mnist(_find.cache_folder() / "mnist")
    with pytest.raises(FileNotFoundError, match=r"train-images.*https://.*mnist"):
        data.load("mnist", tmp_path)


def test_folders_that_do_not_exist(tmp_path, monkeypatch):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        data.load("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(NotADirectoryError, match=r"HEBBAX_DATA is .*nowhere"):
        data.load("mnist")
    with pytest.raises(NotADirectoryError, match="HEBBAX_DATA"):
        data.available()


@pytest.mark.parametrize("name", ["mnist", "kmnist", "usps", "cifar10", "omniglot"])
def test_without_network_the_message_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        data.load(name)
    message = str(error.value)
    official = _sources.SOURCES[name].download.files[0]
    assert official.name in message
    assert official.url in message
    assert str(tmp_path / name) in message
    assert "\n" not in message


def test_what_cannot_be_downloaded_says_where_it_is():
    with pytest.raises(FileNotFoundError, match=r"cannot be downloaded.*kaggle.*az_letters_28x28"):
        data.load("az_letters")


def test_only_missing_files_are_downloaded(tmp_path, monkeypatch):
    arrays = write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / IDX[3]).unlink()
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        Path(path).mkdir(parents=True, exist_ok=True)
        (Path(path) / fname).write_bytes(gzip.compress(idx(arrays[3])))
        return str(Path(path) / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert data.load("mnist").test_y.shape == (10,)
    ((url, known_hash),) = asked
    assert url.endswith(IDX[3])
    assert known_hash.startswith("sha256:f7ae60f9")


def test_a_download_with_another_checksum_is_refused(monkeypatch):
    def retrieve(url, known_hash, fname, path):
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(ValueError, match="does not serve the MNIST file with the known SHA-256"):
        data.fetch("mnist")


def test_foreign_file_is_named(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist")
    stranger = tmp_path / "mnist" / IDX[0]
    kmnist = _sources.SOURCES["kmnist"]
    theirs = dataclasses.replace(
        kmnist.download.files[0], size=stranger.stat().st_size, sha256=_find.sha256(stranger)
    )
    layout = dataclasses.replace(kmnist.download, files=(theirs, *kmnist.download.files[1:]))
    monkeypatch.setitem(_sources.SOURCES, "kmnist", dataclasses.replace(kmnist, download=layout))
    with pytest.raises(ValueError, match=r"is the Kuzushiji-MNIST file train-images.*, not MNIST"):
        data.load("mnist", tmp_path)


def test_bundled_sets_need_no_fetching():
    with pytest.raises(ValueError, match="wine comes with scikit-learn"):
        data.fetch("wine")


def test_available(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    rows = {row.name: row for row in data.available()}
    assert tuple(rows) == data.names()
    assert rows["mnist"].found == tmp_path / "mnist"
    assert rows["mnist"].classes == 10
    assert rows["mnist"].shape == (28, 28)
    assert rows["mnist"].url.startswith("https://")
    assert rows["kmnist"].found is None
    assert rows["iris"].found == "bundled"
    assert rows["emnist_byclass"].classes == 62
    assert all(row.licence and row.description and row.citation for row in rows.values())


def test_register_is_sound():
    for entry in _sources.SOURCES.values():
        for layout in entry.layouts:
            for file in layout.files:
                assert (file.url is None) == (file.sha256 is None)
                assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
