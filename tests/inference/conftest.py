"""A reconstruction of three pictures of different shapes; pages are not drawn where only files count."""

import pytest

import vggt_lite.viz
from tests.inference.oracle import Oracle, pictures
from vggt_lite.inference import Reconstruction, reconstruct


@pytest.fixture
def scene() -> Reconstruction:
    return reconstruct(Oracle(), pictures(), query_points=[[10.0, 20.0], [45.0, 30.0]])


@pytest.fixture
def page(monkeypatch):
    """The figure is tested where it is drawn."""
    monkeypatch.setattr(vggt_lite.viz, "write_html", lambda scene, path, **_: path.write_text("<html>"))
