"""No test of this folder reaches the network or the user's own cache."""

import pooch
import pytest


@pytest.fixture(autouse=True)
def _isolated(request, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.delenv("HEBBAX_CACHE", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: cache / name)

    def refuse(url, *args, **kwargs):
        raise ConnectionError(f"no network in tests: {url}")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    if not request.node.get_closest_marker("data"):
        monkeypatch.delenv("HEBBAX_DATA", raising=False)
