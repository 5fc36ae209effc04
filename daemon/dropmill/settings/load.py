"""From file, environment and options to one frozen ``Settings``: merged, explained, and refused with all reasons at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from dropmill.settings.checks import Report, check
from dropmill.settings.environment import environment_layer
from dropmill.settings.findings import Finding, SettingsError
from dropmill.settings.locate import Key
from dropmill.settings.presets import PRESETS, PROFILES
from dropmill.settings.problems import findings, mended
from dropmill.settings.sources import TABLES, Data, Layer, dotted, file_layer, option_layer
from dropmill.settings.top import Settings

DEFAULT_PATH: Final = "/etc/dropmill/dropmill.toml"
_NEARBY: Final = ("dropmill.toml", "config/local.toml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Attributes:
    settings: the effective values.
    origin: where each of them came from, by dotted key (``inboxes.0.path``): ``default``, ``preset web``,
        ``dropmill.toml:12``, ``environment DROPMILL_…`` or ``option --…``.
    warnings: what works but deserves a look.
    path: the file that was read, or None.
    """

    settings: Settings
    origin: dict[str, str]
    warnings: list[Finding]
    path: Path | None


def load(
    config: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    *,
    need_inboxes: bool = True,
    default_path: str = DEFAULT_PATH,
) -> Loaded:
    """Defaults < preset < file < environment < options.

    Args:
        config: file named by ``--config``, or None: then ``DROPMILL_CONFIG``, then ``default_path`` if it exists.
        environ: the environment; only ``DROPMILL_…`` is looked at.
        overrides: options by dotted key, such as ``{"http.bind": "127.0.0.1:0"}``; None stands for "not given".
        need_inboxes: whether having no inbox is an error (it is not for commands that only ask a running daemon).

    Raises:
        SettingsError: everything that is wrong, at once.
    """
    path = _path(config, environ, default_path)
    errors: list[Finding] = []
    try:
        file = file_layer(path) if path else _constant({}, "file")
    except SettingsError as error:
        file, errors = _constant({}, "file"), list(error.findings)
    environment, wrong, warnings = environment_layer(environ, file_has_inboxes=bool(file.data.get("inboxes")))
    stack = _Stack.of(option_layer(overrides), environment, file)
    # Where the file could not be read, the lack of what it may hold is no finding of its own.
    report = Report(stack.where, [("inboxes",)] if errors else [])
    settings = _validated(stack, report, need_inboxes=need_inboxes)
    unread = bool(errors)
    errors += wrong + report.errors
    here = None if path else nearby()
    if here:
        perhaps = f"perhaps --config {here}; or "
        errors = [replace(one, hint=perhaps + one.hint) if one.key == "inboxes" else one for one in errors]
    if settings is None or unread:
        raise SettingsError(_in_order(errors))
    origin = {dotted(key): stack.origin(key) for key in leaves(settings.model_dump(exclude_none=True))}
    loaded = Loaded(settings, origin, [*warnings, *report.warnings], Path(path) if path else None)
    if errors:
        raise SettingsError(_in_order(errors), loaded)
    return loaded


def nearby() -> str | None:
    """A configuration in the working folder, which nothing takes by itself: somebody may have meant it."""
    return next((name for name in _NEARBY if os.path.exists(name)), None)


def leaves(value: Any, key: Key = ()) -> list[Key]:
    """The keys of all single values; a list of plain values is one value."""
    if isinstance(value, dict) and value:
        return [leaf for name, inner in value.items() for leaf in leaves(inner, (*key, name))]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*key, index))]
    return [key]


def differences(old: Settings, new: Settings) -> list[str]:
    """The dotted keys of what one of the two lacks or has otherwise: ``log.level``, or ``inboxes.1`` for a new one."""
    return sorted(map(dotted, _different(old.model_dump(exclude_none=True), new.model_dump(exclude_none=True), ())))


def _different(old: Any, new: Any, key: Key) -> list[Key]:
    before, after = _children(old), _children(new)
    if before is None or after is None:
        return [] if old == new else [key]
    inner = dict.fromkeys([*before, *after])
    return [found for name in inner for found in _different(before.get(name), after.get(name), (*key, name))]


def _children(value: Any) -> dict[Any, Any] | None:
    """What stands below a key, by its name or number; None for a single value and for a list of them."""
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return dict(enumerate(value))
    return None


def _path(config: Path | None, environ: Mapping[str, str], default_path: str) -> str:
    if config is not None:
        return os.fspath(config)
    named = environ.get("DROPMILL_CONFIG", "")
    return named or (default_path if os.path.exists(default_path) else "")


def _constant(data: Data, word: str) -> Layer:
    return Layer(data, lambda _key: word, lambda _key: word)


@dataclass(frozen=True, slots=True)
class _Stack:
    """The layers, highest first, of which ``preset`` is the last but for the defaults."""

    layers: tuple[Layer, ...]
    preset: Layer

    @classmethod
    def of(cls, options: Layer, environment: Layer, file: Layer) -> _Stack:
        layers = (options, environment, file)
        name = next((layer.data["preset"] for layer in layers if "preset" in layer.data), "")
        preset = PRESETS.get(name) if isinstance(name, str) else None
        if preset is None:  # An unknown name is found by validation.
            return cls(layers, _constant({}, "default"))
        # Inboxes are a list, and lists replace each other; so what a preset says of them goes into each one.
        tables = {name: [_fitting(preset.inbox, name) for _ in _first_list(layers, name)] for name in TABLES}
        data = {**preset.data, **tables}
        return cls(layers, _constant(data, f"preset {name}"))

    def data(self) -> list[Data]:
        """What pydantic-settings merges, highest first."""
        below = {key: value for key, value in self.preset.data.items() if key not in TABLES}
        result = [*(layer.data for layer in self.layers), below, {"profiles": PROFILES}]
        for name in TABLES:
            if any(name in layer.data for layer in self.layers) and self.preset.data.get(name):
                pairs = zip(self.preset.data[name], _first_list(self.layers, name), strict=True)
                filled = [{**defaults, **given} if isinstance(given, dict) else given for defaults, given in pairs]
                result.insert(0, {name: filled})
        return result

    def origin(self, key: Key) -> str:
        layer = self._holder(key)
        return layer.origin(key) if layer else "default"

    def where(self, key: Key) -> str:
        """The place of a key, or of the nearest one above it that somebody wrote."""
        while key:
            layer = self._holder(key)
            if layer:
                return layer.where(key)
            key = key[:-1]
        return ""

    def _holder(self, key: Key) -> Layer | None:
        for layer in self.layers:
            if _holds(layer.data, key):
                return layer
            # A list hides the lists of the layers below, all but the preset's, which has been added to it.
            if any(isinstance(part, int) and _holds(layer.data, key[:at]) for at, part in enumerate(key)):
                break
        return self.preset if _holds(self.preset.data, key) else None


def _first_list(layers: tuple[Layer, ...], name: str) -> list[Any]:
    items: Any = next((layer.data[name] for layer in layers if name in layer.data), [])
    return items if isinstance(items, list) else []


def _fitting(preset: Data, tables: str) -> Data:
    """What a preset says of inboxes, as far as it can be said of a table of ``tables``. Downloads are named by content."""
    if tables == "inboxes":
        return preset
    return {key: value for key, value in preset.items() if key in TABLES[tables].model_fields and key != "names"}


def _holds(data: Any, key: Key) -> bool:
    for part in key:
        try:
            if isinstance(data, str):
                return False
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _validated(stack: _Stack, report: Report, *, need_inboxes: bool) -> Settings | None:
    """Validate; where that fails, put stand-ins for what is broken and go on, so that all findings come at once."""
    merged: Data = {}
    attempt = 0
    while True:
        try:
            settings = Settings(**merged) if attempt else Settings.from_layers(stack.data(), merged)
            break
        except ValidationError as error:
            attempt += 1
            new = findings(error, stack.where)
            for key, finding in new:
                # A stand-in may cause trouble of its own, which nobody needs to hear of.
                if not any(key[: len(broken)] == broken for broken in report.broken):
                    report.errors.append(finding)
            report.broken += [key for key, _ in new]
            merged = mended(merged, [key for key, _ in new])
            if attempt > 8:
                return None
    names = {name for name in merged.get("profiles", PROFILES) if isinstance(name, str)}
    check(settings, report, profile_names=names, need_inboxes=need_inboxes)
    return settings


def _in_order(errors: list[Finding]) -> list[Finding]:
    """By place, so that a reader walks through the file once."""

    def place(finding: Finding) -> tuple[str, int]:
        name, _, line = finding.where.rpartition(":")
        return (name, int(line)) if line.isdecimal() else (finding.where, 0)

    return sorted(dict.fromkeys(errors), key=place)
