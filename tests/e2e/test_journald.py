"""A daemon whose standard error leads into a real journald, which runs in namespaces of its own: nothing else hears of it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import PROGRAM, Mill, clean_environment
from parts import missing, need_module, need_programs, need_root

pytestmark = pytest.mark.long

JOURNALD = Path("/lib/systemd/systemd-journald")
HIDING = "import sys; sys.modules['systemd'] = None; from dropmill.cli import main; main()"
# Its own /run and /var/log, no word to the kernel's log, and a machine that has an id.
BOOT = f"""
set -e
mount -t tmpfs none /run
mount -t tmpfs none /var/log
mount --bind /dev/null /dev/kmsg
mkdir -p /run/systemd /run/log/journal
echo 0123456789abcdef0123456789abcdef >/run/machine-id
[ ! -e /etc/machine-id ] || mount --bind /run/machine-id /etc/machine-id
{JOURNALD} &
journald=$!
for _ in $(seq 600); do [ ! -S /run/systemd/journal/stdout ] || break; sleep 0.05; done
"""
# As systemd does it for a unit.
LOGGED = 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@" 2>&2'
END = """
journalctl --sync
journalctl -D /run/log/journal -o json --all --no-pager >"$0"
kill $journald
"""


def journal_of(mill: Mill, *commands: list[str]) -> list[dict[str, Any]]:
    """What the journal holds once the commands have run, one after the other, with their standard error in it."""
    need_programs(unshare="util-linux", journalctl="systemd")
    need_root()
    if not JOURNALD.exists():
        missing(f"{JOURNALD} is not there", "apt-get install systemd")
    runs = [f"systemd-cat sh -c {shlex.quote(LOGGED)} - {shlex.join(command)} || true" for command in commands]
    script = "\n".join([BOOT, *runs, END])
    told = mill.root / "journal.json"
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    subprocess.run([*namespaces, "sh", "-c", script, str(told)], env=clean_environment(), check=True, timeout=120)
    return [json.loads(line) for line in told.read_text().splitlines()]


def value(entry: dict[str, Any], name: str) -> str:
    """A field; journalctl writes those that are no plain text as a list of bytes."""
    found = entry[name]
    return bytes(found).decode("utf-8", "backslashreplace") if isinstance(found, list) else str(found)


def test_entries_have_fields_by_which_a_job_is_found_and_lines_without_the_library_their_priority(
    tmp_path: Path,
) -> None:
    need_module("systemd.journal")
    mill = Mill(tmp_path, log={"level": "info"})
    name = "a\n\udcff.jpg"
    mill.drop(name, pictures.jpeg(pictures.photo(120, 80, 1)))
    mill.drop("broken.jpg", pictures.jpeg(pictures.photo(120, 80, 2))[:400])
    once = ["run", "--once", "--config", str(mill.config)]
    entries = journal_of(mill, [PROGRAM, *once], [sys.executable, "-c", HIDING, *once])
    structured = [entry for entry in entries if "DROPMILL_EVENT" in entry]
    published = next(entry for entry in structured if value(entry, "DROPMILL_EVENT") == "published")
    assert value(published, "DROPMILL_PATH") == str(mill.inbox / "a\\n\\xff.jpg")
    assert (value(published, "DROPMILL_INBOX"), value(published, "DROPMILL_OUTCOME")) == ("camera", "published")
    assert value(published, "DROPMILL_JOB_ID").isdecimal() and value(published, "PRIORITY") == "6"
    assert value(published, "SYSLOG_IDENTIFIER") == "dropmill" and "_TRANSPORT" in published
    discarded = next(entry for entry in structured if value(entry, "DROPMILL_EVENT") == "discarded")
    assert value(discarded, "DROPMILL_REASON") == "truncated" and value(discarded, "PRIORITY") == "4"
    assert value(discarded, "DROPMILL_JOB_ID") != value(published, "DROPMILL_JOB_ID")
    plain = [json.loads(value(entry, "MESSAGE")) for entry in entries if value(entry, "MESSAGE").startswith("{")]
    assert [line["event"] for line in plain][:2] == ["entries of the journal have no fields of their own", "starting"]
