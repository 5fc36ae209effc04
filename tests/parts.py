"""Real parts that some tests need: mounts, namespaces, programs. Missing ones skip, or fail under DROPMILL_REQUIRE_ALL=1."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str, remedy: str = "") -> NoReturn:
    """Skip the test with the reason; where everything is required, as ``.ci/run`` does, fail instead."""
    reason = f"{what}; {remedy}" if remedy else what
    if os.environ.get("DROPMILL_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def need_programs(**packages: str) -> None:
    """``need_programs(sshfs="sshfs", socat="socat")``: programs by name, each with the package that brings it."""
    for program, package in packages.items():
        if shutil.which(program) is None:
            missing(f"{program} is not installed", f"apt-get install {package}")


def need_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        missing(f"the Python module {name} is not installed")


def need_root() -> None:
    """For mounts, namespaces and other users."""
    if os.geteuid() != 0:
        missing("only root may do this")
