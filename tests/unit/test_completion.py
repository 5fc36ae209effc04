"""The tab key: the program says what fits, the scripts for shells carry it there, and neither takes long."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import generated_docs
from dropmill.cli.app import app
from parts import need_programs

PROGRAMS = Path(sys.executable).parent
SECONDS = 60
CONFIGURATION = """
[[inboxes]]
name = "camera"
path = "in"
output = "out"

[[inboxes]]
name = "scanner"
path = "scans"
output = "out"

[[dropfiles]]
name = "list"
path = "urls.txt"
output = "out"

[[webhooks]]
name = "app"
url = "https://app.example/hook"
secret_file = "secret"
"""
STATES = ["scheduled", "available", "executing", "completed", "discarded", "cancelled"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "dropmill.toml"
    path.write_text(CONFIGURATION)
    return path


def proposed(*words: str, environ: dict[str, str] | None = None) -> list[str]:
    """What follows ``dropmill`` on the line, of which the last word is being typed; answered as to bash."""
    line = ["dropmill", *words]
    asked = {"COMP_WORDS": shlex.join(line), "COMP_CWORD": str(len(words)), "_DROPMILL_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, [], prog_name="dropmill", env={**(environ or {}), **asked})
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["re"], ["retry", "resume", "reload", "reprocess", "resolve"]),
        (["config", "s"], ["show", "schema"]),
        (["jobs", "--st"], ["--state"]),
        (["jobs", "--state", ""], STATES),
        (["jobs", "--state", "dis"], ["discarded"]),
        (["export", "--format", ""], ["csv", "jsonl", "parquet"]),
        (["--log-level", "w"], ["warning"]),
        (["resolve", "--action", "d"], ["delete", "dismiss"]),
        (["resolve", "--relation", "re"], ["re-encoded", "resized"]),
        (["backup", ""], []),
        (["jobs", "--config", ""], []),
    ],
)
def test_words_that_fit_are_proposed_and_none_where_files_do(words: list[str], wanted: list[str]) -> None:
    assert proposed(*words) == wanted


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["jobs", "--inbox", ""], ["camera", "scanner", "list"]),
        (["pause", "s"], ["scanner"]),
        (["try", "--inbox", ""], ["camera", "scanner"]),
        (["webhooks", "test", ""], ["app"]),
    ],
)
def test_names_come_from_the_configuration_that_is_in_use(config: Path, words: list[str], wanted: list[str]) -> None:
    environ = {"DROPMILL_CONFIG": str(config)}
    assert proposed(*words, environ=environ) == wanted
    before = [*words[:-1], "--config", str(config), words[-1]]
    if "--inbox" not in words:
        assert proposed(*before) == wanted


@pytest.mark.parametrize("text", ["[[inboxes]\n", 'nonsense = 1\n[[inboxes]]\nname = "camera"\n', ""])
def test_a_configuration_with_mistakes_costs_proposals_at_most(config: Path, text: str) -> None:
    config.write_text(text)
    assert set(proposed("pause", "", environ={"DROPMILL_CONFIG": str(config)})) <= {"camera"}
    assert proposed("pause", "", environ={"DROPMILL_CONFIG": str(config.with_name("none.toml"))}) == []


def test_neither_decoders_nor_the_web_are_loaded_for_it() -> None:
    program = (
        "import atexit, sys\n"
        "heavy = {'PIL', 'numpy', 'httpx', 'fastapi', 'uvicorn', 'apsw'}\n"
        "atexit.register(lambda: print(*sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "from dropmill.cli import main\nmain()"
    )
    environ = {**os.environ, "COMP_WORDS": "dropmill jo", "COMP_CWORD": "1", "_DROPMILL_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr.split()) == (["jobs"], [])


@pytest.mark.parametrize("shell", generated_docs.COMPLETIONS)
def test_the_scripts_are_those_that_the_program_prints(shell: str) -> None:
    kept = generated_docs.COMPLETIONS[shell].read_text("utf-8")
    assert kept == generated_docs.completion(shell), "run: python tests/generated_docs.py"


def asked(*command: str, config: Path) -> str:
    environ = {
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "DROPMILL_CONFIG": str(config),
        "HOME": str(config.parent),
        "TERM": "dumb",
    }
    done = subprocess.run(
        command, env=environ, cwd=config.parent, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.long
def test_bash_gets_it(config: Path) -> None:
    need_programs(bash="bash")
    script = """
        source "$1"
        complete -p dropmill
        for line in 'dropmill jo' 'dropmill pause c' 'dropmill backup drop'; do
            read -ra COMP_WORDS <<<"$line"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            COMPREPLY=()
            _dropmill_completion dropmill
            echo "${#COMPREPLY[@]} ${COMPREPLY[*]}"
        done"""
    told = asked("bash", "--norc", "-c", script, "-", str(generated_docs.COMPLETIONS["bash"]), config=config)
    assert told.splitlines() == ["complete -o default -F _dropmill_completion dropmill", "1 jobs", "1 camera", "0 "]


@pytest.mark.long
def test_fish_gets_it(config: Path) -> None:
    need_programs(fish="fish")
    script = f"source {generated_docs.COMPLETIONS['fish']}\n" + "\n".join(
        f"complete -C '{line}'" for line in ("dropmill jo", "dropmill pause c", "dropmill backup drop")
    )
    told = asked("fish", "--no-config", "-c", script, config=config)
    assert told.splitlines() == ["jobs\tJobs, newest first.", "camera", "dropmill.toml"]


@pytest.mark.long
def test_zsh_gets_it_at_the_first_press(config: Path) -> None:
    """In a terminal of its own, since zsh completes in nothing else."""
    need_programs(zsh="zsh")
    script = """
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "fpath=(${1:h} \\$fpath) PS1=; autoload -Uz compinit; compinit -u -D; echo is'-ready'"
        zpty -r shell told '*is-ready*'
        zpty -w -n shell $'dropmill pause c\\t'
        zpty -r shell told '*camera*'
        print -r -- $told
        zpty -d shell"""
    told = asked("zsh", "-f", "-c", script, "-", str(generated_docs.COMPLETIONS["zsh"]), config=config)
    assert "camera" in told
