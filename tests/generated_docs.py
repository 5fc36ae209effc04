"""Parts of docs/ that follow from the code. `python tests/generated_docs.py` rewrites them; test_docs.py compares.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the text around it is written by hand.
So is the manual page, whose comments look otherwise (generated_man.py).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dropmill
import generated_man
from dropmill.model.job import TERMINAL, TRANSITIONS
from dropmill.model.outcome import EXPLANATIONS, Explanation, Reason, explained, explained_as_ignored
from dropmill.observe.catalogue import METRICS
from dropmill.settings import PRESETS, schema
from dropmill.settings.environment import SHORTHANDS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(dropmill.__file__).parent
DATA = PACKAGE.parent / "share" if PACKAGE.is_relative_to(ROOT) else Path(sys.prefix) / "share"
"""What the wheel installs beside the package: of the tree or, where a wheel is tested, as it was installed."""
MANUAL = DATA / "man" / "man1" / "dropmill.1"
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), MANUAL]
_PART = re.compile(
    r'((?:<!-- |\.\\" )generated: (?P<name>[a-z-]+)(?: -->)?\n).*?((?:<!-- |\.\\" )end(?: -->)?\n)', re.DOTALL
)

DISCARDED = (
    Reason.EMPTY,
    Reason.NOT_AN_IMAGE,
    Reason.TRUNCATED,
    Reason.CORRUPT,
    Reason.TOO_LARGE,
    Reason.TOO_SMALL,
    Reason.TOO_MANY_FRAMES,
    Reason.UNSUPPORTED_FORMAT,
    Reason.TIMEOUT,
    Reason.WORKER_CRASHED,
    Reason.MEMORY_LIMIT,
    Reason.INTERRUPTED,
)
RETRIED = (
    Reason.UNREADABLE,
    Reason.DISK_FULL,
    Reason.OUTPUT_UNAVAILABLE,
    Reason.INDEX_UNAVAILABLE,
    Reason.IO_ERROR,
    Reason.UNEXPECTED,
    Reason.PUBLISH_FAILED,
)
REFUSED = (
    Reason.BAD_LINE,
    Reason.BAD_URL,
    Reason.BLOCKED_SCHEME,
    Reason.BLOCKED_HOST,
    Reason.BLOCKED_PORT,
    Reason.BLOCKED_ADDRESS,
    Reason.ROBOTS_DISALLOWED,
    Reason.NO_AI,
)
DOWNLOADS = tuple(
    reason
    for reason in Reason
    if list(Reason).index(Reason.DNS_FAILURE) <= list(Reason).index(reason) <= list(Reason).index(Reason.HTTP_ERROR)
)
IGNORED = (
    Reason.JUNK_NAME,
    Reason.COMPANION,
    Reason.DONE_FILE,
    Reason.URL_LIST,
    Reason.SYMLINK,
    Reason.NOT_A_FILE,
    Reason.FOREIGN_HARD_LINK,
    Reason.CODEC_MISSING,
)


def job_states() -> str:
    """The life of a job as a Mermaid state diagram, one arrow per pair of states."""
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (state, event), target in TRANSITIONS.items():
        arrows[state.value if state else "[*]", target.value].append(event.value)
    lines = [f"    {state} --> {target}: {', '.join(events)}" for (state, target), events in arrows.items()]
    lines += [f"    {state} --> [*]" for state in sorted(TERMINAL)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def reasons(group: tuple[Reason, ...]) -> str:
    return _explained((reason, EXPLANATIONS[reason]) for reason in group)


def reasons_ignored() -> str:
    """Those of ignored files only, and those that say something else of an ignored file than of a discarded one."""
    group = (*IGNORED, *(reason for reason in Reason if explained_as_ignored(reason) != EXPLANATIONS[reason]))
    return _explained((reason, explained_as_ignored(reason)) for reason in group)


def reasons_of_urls() -> str:
    """Those that say something else of what was downloaded than of a file."""
    both = ((reason, explained(reason, of_url=True)) for reason in Reason)
    return _explained((reason, of_url) for reason, of_url in both if of_url != EXPLANATIONS[reason])


def _explained(rows: Iterable[tuple[Reason, Explanation]]) -> str:
    told = [(f"`{reason}`", explanation.cause, explanation.remedy) for reason, explanation in rows]
    return _table(("code", "what it means", "what to do"), told)


def presets() -> str:
    return _table(("preset", "what it makes"), [(f"`{name}`", preset.description) for name, preset in PRESETS.items()])


def shorthands() -> str:
    return _table(("variable", "setting"), [(f"`{name}`", f"`inboxes[0].{key}`") for name, key in SHORTHANDS.items()])


def metrics() -> str:
    rows = [
        (f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels) or "–", one.help) for one in METRICS
    ]
    return _table(("name", "type", "labels", "meaning"), rows)


def settings() -> str:
    """Every setting by section, from the JSON Schema that editors get."""
    whole = schema()
    return "\n\n".join(_sections(whole, whole, "", "DROPMILL_"))


def _sections(whole: dict[str, Any], part: dict[str, Any], header: str, variable: str) -> Iterator[str]:
    rows, inner = [], []
    for name, field in part["properties"].items():
        section = _section_of(whole, field)
        if section is None:
            rows.append((f"`{name}`", _kind(field), _default(field, name in part.get("required", ())), _text(field)))
        else:
            inner.append((name, field, section))
    title = f"## `{header}`" if header else "## At the top of the file"
    about = part["description"].split("\n\n")[0].replace("\n", " ")
    if variable:
        about += f" By variable: `{variable}{rows[0][0].strip('`').upper()}` and so on."
    yield f"{title}\n\n{about}\n\n" + _table(("key", "type", "default", "meaning"), rows)
    for name, field, section in inner:
        path = f"{header.strip('[]')}.{name}" if header else name
        if field.get("type") == "array":
            yield from _sections(whole, section, f"[[{path}]]", "")
        elif "additionalProperties" in field:
            yield from _sections(whole, section, f"[{path}.NAME]", "")
        else:
            yield from _sections(whole, section, f"[{path}]", variable and f"{variable}{name.upper()}__")


def _section_of(whole: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    for holder in (field, field.get("items", {}), field.get("additionalProperties", {})):
        if isinstance(holder, dict) and "$ref" in holder:
            found: dict[str, Any] = whole["$defs"][holder["$ref"].rpartition("/")[2]]
            return found
    return None


def _kind(field: dict[str, Any]) -> str:
    """``whole number, 1 to 64``; a choice is told by the meaning."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(one) for one in field["anyOf"] if one.get("type") != "null"))
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} {_plural(field['prefixItems'][0])}"
    if field.get("type") in {"array", "object"}:
        return (
            f"list of {_plural(field['items'])}"
            if "items" in field
            else f"table of {_plural(field['additionalProperties'])}"
        )
    if "enum" in field:
        return "choice"
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high = field.get("maximum", field.get("exclusiveMaximum"))
    least = f"at least {low}" if low is not None else f"above {above}" if above is not None else ""
    span = f"{low} to {high}" if low is not None and high is not None else least
    if high is not None and low is None:
        span = f"{least}, at most {high}" if least else f"at most {high}"
    return f"{_KINDS[field['type']]}{', ' if span else ''}{span}"


def _plural(field: dict[str, Any]) -> str:
    kind, comma, span = _kind(field).partition(",")
    return kind.replace("list ", "lists ") + ("" if kind.startswith("list ") else "s") + comma + span


_KINDS = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number"}


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    if isinstance(value, list) and len(value) > 6:
        return "see below"
    return "" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _text(field: dict[str, Any]) -> str:
    words = [field.get("description", "").replace("<", "\\<")]
    choices = field.get("enum")
    if choices and not all(str(choice) in words[0] for choice in choices if choice):
        words.append("One of " + ", ".join(f"`{choice}`" for choice in choices if choice) + ".")
    if isinstance(field.get("default"), list) and len(field["default"]) > 6:
        words.append("By default " + ", ".join(field["default"]) + ".")
    return " ".join(words)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "job-states": job_states,
    "reasons-discarded": lambda: reasons(DISCARDED),
    "reasons-retried": lambda: reasons(RETRIED),
    "reasons-refused": lambda: reasons(REFUSED),
    "reasons-downloads": lambda: reasons(DOWNLOADS),
    "reasons-ignored": reasons_ignored,
    "reasons-of-urls": reasons_of_urls,
    "presets": presets,
    "shorthands": shorthands,
    "settings": settings,
    "metrics": metrics,
    "man-title": generated_man.title,
    "man-commands": generated_man.commands,
    "man-shorthands": generated_man.shorthands,
}


COMPLETIONS = {
    "bash": DATA / "bash-completion" / "completions" / "dropmill",
    "zsh": DATA / "zsh" / "site-functions" / "_dropmill",
    "fish": DATA / "fish" / "vendor_completions.d" / "dropmill.fish",
}
"""Where each shell looks for them by itself, below the prefix of an installation."""


def completion(shell: str) -> str:
    """The script that ``--show-completion`` prints in that shell, as a file to be found by it."""
    program = Path(sys.executable).with_name("dropmill")
    environ = {**os.environ, "_DROPMILL_COMPLETE": f"source_{shell}"}
    text = subprocess.run([program], env=environ, capture_output=True, text=True, check=True).stdout.strip()
    if shell == "zsh":  # It reads the file when it is first asked, and takes what that prints for the answer.
        text += '\n[ "$funcstack[1]" = "_dropmill" ] && _dropmill_completion "$@"'
    return f"{text}\n"


def brought_up_to_date(text: str) -> str:
    """The page with every generated part as the code has it now. Raises KeyError for a part that is not known."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match['name']]()}\n{match[3]}", text)


def parts_of(text: str) -> list[str]:
    return [match["name"] for match in _PART.finditer(text)]


if __name__ == "__main__":
    for page in PAGES:
        before = page.read_text("utf-8")
        after = brought_up_to_date(before)
        if after != before:
            page.write_text(after, "utf-8")
            print(f"rewritten: {page.relative_to(ROOT)}")
    for shell, script in COMPLETIONS.items():
        script.write_text(completion(shell), "utf-8")
