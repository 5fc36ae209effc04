"""img2dataset in an environment of its own, as its users run it: ``pip install img2dataset``, then its command.

Made once in the temporary folder of the system, beside the pictures. Where it cannot be had, that is said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench import gallery
from bench.meter import Spent
from bench.plan import tell
from bench.urls_apart import run_apart
from harness import clean_environment

VERSION: Final = "1.47.0"
INSTALL_SECONDS: Final = 600
SIDE: Final = 256
# What it needs least CPU with, of 1 process with 8, 16 and 64 threads and of 2 with 8, 16 and 32: each process imports all of it anew.
PROCESSES, THREADS = 1, 64


def program() -> Path | None:
    """Its command, installed if need be; None, with a word on standard error, where it cannot be."""
    environment = gallery.cache() / f"img2dataset-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"
    command = environment / "bin" / "img2dataset"
    done = environment / "installed"
    if not done.exists():
        tell(f"installing img2dataset {VERSION} in {environment}")
        shutil.rmtree(environment, ignore_errors=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            _succeed([sys.executable, "-m", "venv", str(environment)])
            _succeed([*pip, f"img2dataset=={VERSION}"])
            _succeed([str(command), "--help"])
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            tell(f"img2dataset not available: {said.strip().splitlines()[-1]}")
            return None
        done.touch()
    return command


def run(command: Path, urls: Path, scratch: Path) -> tuple[Spent, int]:
    """What it took for the URLs in that file, and how many pictures it wrote. Raises ``RuntimeError``."""
    out = scratch / "img2dataset"
    log = scratch / "img2dataset.log"
    words = {
        "url_list": urls,
        "output_folder": out,
        "output_format": "files",
        "image_size": SIDE,
        "resize_mode": "keep_ratio_largest",
        "encode_quality": 82,
        "processes_count": PROCESSES,
        "thread_count": THREADS,
    }
    options = [f"--{name}={value}" for name, value in words.items()]
    # A line of its logs that is about a newer version would cost it a request.
    env = {**clean_environment(), "NO_ALBUMENTATIONS_UPDATE": "1"}
    try:
        spent = run_apart([str(command), *options], cwd=scratch, env=env, output=log)
        made = sum(name.endswith(".jpg") for _, _, names in os.walk(out) for name in names)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if spent.code != 0:
        raise RuntimeError(f"img2dataset: exit {spent.code}\n{log.read_text(errors='replace')[-2000:]}")
    return spent, made


def _succeed(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
