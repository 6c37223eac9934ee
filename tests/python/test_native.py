"""The extension itself: what it says about the build."""

from __future__ import annotations

import importlib.metadata

import fasterapi
from fasterapi import _native


def test_the_extension_is_the_distribution_that_is_installed() -> None:
    installed = importlib.metadata.version("fasterapi-native")
    assert _native.version() == installed
    assert fasterapi.__version__ == installed


def test_features_name_the_back_end_and_the_protocol() -> None:
    words = _native.features().split()
    assert words[:2] == ["epoll", "h1"]
    assert any(word.startswith("simd=") for word in words)
