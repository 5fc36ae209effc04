"""What becomes of resembling pictures, as it is configured: by tier, for everything or for one inbox, and what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropmill.model.duplicates import Policy
from dropmill.model.inbox import Root
from dropmill.model.resemblance import Thresholds
from dropmill.settings import SettingsError, load, resolved

INBOX = '[[inboxes]]\nname = "camera"\npath = "in"\noutput = "out"\n'


def loaded(tmp_path: Path, text: str):
    path = tmp_path / "dropmill.toml"
    path.write_text(text)
    return load(path, {}, {})


def wrong(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    return [f"{finding.key}: {finding.message}" for finding in caught.value.findings]


def policies(settings, name: str = "camera") -> dict[str, str]:
    roots = {"inbox": Root(1, b"/in"), "output": Root(2, b"/out")}
    found = resolved(settings, settings.inbox(name), roots, "").policies
    return {tier.value: policy.value for tier, policy in found.by_tier.items()}


def test_by_default_copies_are_skipped_and_what_looks_alike_is_flagged(tmp_path: Path) -> None:
    settings = loaded(tmp_path, INBOX).settings
    assert policies(settings) == {"exact": "skip", "near": "flag", "similar": "flag", "loose": "off"}
    assert settings.dedupe.thresholds == Thresholds()


def test_an_inbox_goes_before_its_profile_and_that_before_all(tmp_path: Path) -> None:
    text = (
        INBOX
        + 'dedupe = {near = "rename"}\n'
        + INBOX.replace("camera", "other").replace('"in"', '"in2"')
        + '[[dropfiles]]\nname = "list"\npath = "urls"\noutput = "out"\ndedupe = {near = "skip"}\n'
        + '[profiles.web]\ndedupe = {near = "hardlink", similar = "off"}\n[dedupe]\nnear = "off"\nloose = "flag"\n'
    )
    settings = loaded(tmp_path, text).settings
    assert policies(settings) == {"exact": "skip", "near": "rename", "similar": "off", "loose": "flag"}
    assert policies(settings, "camera.urls") == policies(settings)
    assert policies(settings, "other")["near"] == "hardlink"
    assert policies(settings, "list")["near"] == "skip"


def test_yaml_reads_off_as_false_in_every_tier(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "dedupe: {exact: off, similar: off}\ninboxes: [{name: camera, path: /in, output: /out, dedupe: {near: off}}]\n"
    )
    settings = load(path, {}, {}).settings
    assert policies(settings) == {"exact": "off", "near": "off", "similar": "off", "loose": "off"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('similar = "hardlink"', "dedupe.similar: 'hardlink' is no policy for similar pictures"),
        ('loose = "uniquify"', "dedupe.loose: 'uniquify' is no policy for loose pictures"),
        ('near = "flagged"', "dedupe.near: 'flagged' is not valid"),
        ("near_phash = 12", "dedupe.near_phash: is more than similar_phash"),
        ("similar_dhash = 13", "dedupe.similar_dhash: 13 is not valid"),
        ('rename_suffix = "a/b"', "dedupe.rename_suffix: 'a/b' cannot be part of a file name"),
        ('uniquify = {methods = ["crop", "crop"]}', "dedupe.uniquify.methods: names a method twice"),
        ("uniquify = {max_tries = 32, strength_percent = 10}", "dedupe.uniquify: 32 tries of 10 % would change"),
        ("uniquify = {max_trys = 3}", "dedupe.uniquify.max_trys: unknown key"),
        (
            'near = "rename"\nsimilar = "skip"',
            "dedupe.similar: similar pictures are skipped in 'camera', and near ones",
        ),
        ('exact = "off"\nnear = "skip"', "dedupe.near: near pictures are skipped in 'camera', and exact ones"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (finding,) = wrong(tmp_path, f"{INBOX}[dedupe]\n{text}\n")
    assert finding.startswith(told)


def test_what_makes_no_sense_in_one_inbox_is_refused_there(tmp_path: Path) -> None:
    text = INBOX + 'dedupe = {near = "skip", exact = "flag", near_phash = 2}\n'
    first, second = sorted(wrong(tmp_path, text))
    assert first.startswith("inboxes.0.dedupe.near: near pictures are skipped in 'camera', and exact ones")
    assert second == "inboxes.0.dedupe.near_phash: unknown key"


def test_copies_that_are_changed_want_their_originals_kept(tmp_path: Path) -> None:
    found = loaded(tmp_path, INBOX + 'on_success = "delete"\ndedupe = {near = "uniquify"}\n')
    assert ["the originals are not kept" in finding.message for finding in found.warnings] == [True]
    assert found.settings.dedupe.policies(found.settings.inboxes[0].dedupe).near is Policy.UNIQUIFY
