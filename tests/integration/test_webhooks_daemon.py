"""Webhooks of a whole daemon: what is told of pictures, kills between commit and delivery, reloads, commands, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pictures
from harness import Mill
from hooks import OTHER_SECRET, SECRET, Answer, Receiver, receiving, verified

LOOPBACK = ["127.0.0.0/8"]


def hook(receiver: Receiver, name: str = "app", **more: Any) -> dict[str, Any]:
    given = {"name": name, "url": receiver.url, "secret_file": "secret", "allow_networks": LOOPBACK}
    return given | {"retry_base_seconds": 0.1, "retry_cap_seconds": 0.2} | more


def mill_with(root: Path, *webhooks: dict[str, Any], **options: Any) -> Mill:
    (root / "secret").write_text(f"{SECRET}\n")
    return Mill(root, webhooks=list(webhooks), **options)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


def told(mill: Mill, name: str = "app") -> dict[str, Any]:
    found = {one["name"]: one for one in mill.get("/api/v1/webhooks").raise_for_status().json()}
    return dict(found[name])


def broken(picture: bytes) -> bytes:
    return picture[: len(picture) // 3]


@pytest.mark.long
def test_what_becomes_of_each_picture_is_told_once_and_agrees_with_the_api(tmp_path: Path, receiver: Receiver) -> None:
    mill = mill_with(tmp_path, hook(receiver))
    mill.start()
    try:
        mill.drop("a.jpg", pictures.jpeg())
        mill.wait_for(lambda: len(receiver.requests) == 1)
        mill.drop("copy.jpg", pictures.jpeg())
        mill.drop("broken.jpg", broken(pictures.jpeg(pictures.photo(seed=7))))
        mill.wait_for(lambda: len(receiver.requests) == 3)
        mill.wait_for(lambda: told(mill)["delivered"] == 3)
        by_type = {request.document["type"]: request for request in receiver.requests}
        assert set(by_type) == {"image.published", "image.duplicate", "image.discarded"}
        jobs = {job["id"]: job for job in mill.jobs()}
        for request in receiver.requests:
            assert verified(request, SECRET)
            assert not verified(request, OTHER_SECRET)
            assert request.headers["content-type"] == "application/json"
            job = jobs[request.data["job"]]
            assert request.data["source"] == job["source"]
            assert request.data["sha256"] == job["sha256"]
            assert request.data["reason"] == job["reason"]
            assert request.data["finished_at"] == request.document["timestamp"] == job["finished_at"]
        published, duplicate = by_type["image.published"].data, by_type["image.duplicate"].data
        assert [Path(output["path"]).read_bytes()[:2] for output in published["outputs"]] == [b"\xff\xd8"]
        assert duplicate["duplicate_of"] == {"job": published["job"], "source": published["source"], "tier": "exact"}
        assert by_type["image.discarded"].data["reason"] == "truncated"
        mill.wait_for(lambda: mill.metric("dropmill_webhook_attempts_total") == 3)
        assert mill.metric("dropmill_webhook_enabled") == 1
        listed = mill.run("webhooks", "--json")
        assert listed.returncode == 0
        assert "whsec_" not in listed.stdout + mill.run("config", "show").stdout + mill.log.read_text()
        assert "3 delivered, 0 waiting" in mill.run("status").stdout
        page = " ".join(mill.get("/").text.split())
        assert receiver.url.partition("//")[2].partition("/")[0] in page.replace("<wbr>", "")
        assert "<span>0 waiting</span><span>3 told, last at" in page
        tried = mill.run("webhooks", "test", "app")
        assert (tried.returncode, len(receiver.requests)) == (0, 4)
        assert receiver.requests[-1].document["type"] == "webhook.test"
        assert verified(receiver.requests[-1], SECRET)
        receiver.script = lambda number, request: Answer(500)
        refused = mill.run("webhooks", "test", "app")
        assert refused.returncode == 1
        assert "it answered 500" in refused.stderr
        assert mill.run("webhooks", "test", "other").returncode == 1
    finally:
        mill.stop()


@pytest.mark.long
def test_q01_a_daemon_that_is_killed_between_commit_and_delivery_delivers_with_the_same_id(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The receiver took the request and answered nothing when the daemon died: it cannot know whether it arrived."""
    receiver.script = lambda number, request: Answer(hang=True)
    mill = mill_with(tmp_path, hook(receiver))
    mill.start()
    mill.drop("a.jpg", pictures.jpeg())
    mill.wait_for(lambda: len(receiver.requests) == 1)
    mill.kill()
    receiver.script = lambda number, request: Answer()
    mill.start()
    try:
        mill.wait_for(lambda: told(mill)["delivered"] == 1)
        assert len(receiver.requests) == 2
        assert len(set(receiver.ids())) == 1
        assert receiver.requests[0].body == receiver.requests[1].body
    finally:
        mill.stop()


@pytest.mark.long
def test_an_endpoint_that_hangs_holds_back_neither_receipts_nor_others_nor_the_end(tmp_path: Path) -> None:
    with receiving(lambda number, request: Answer(hang=True)) as silent, receiving() as well:
        hooks = hook(silent, "silent", timeout_seconds=120), hook(well, "well")
        mill = mill_with(tmp_path, *hooks, receipts=True)
        mill.start()
        for number in range(6):
            mill.drop(f"{number}.jpg", pictures.jpeg(pictures.photo(seed=number)))
        mill.wait_for(lambda: len(well.requests) == 6 and len(silent.requests) == 4)
        mill.wait_for(
            lambda: [name for name in mill.outputs() if name.endswith(".json")] == [f"{n}.json" for n in range(6)]
        )
        mill.wait_for(lambda: told(mill, "well")["delivered"] == 6)
        assert mill.stop() == 0
        silent.script = well.script
        silent_ids = set(silent.ids())
        assert mill.once().returncode == 0
        assert len(well.requests) == 6
        assert len(set(silent.ids())) == 6
        assert silent_ids < set(silent.ids())


@pytest.mark.long
def test_one_that_is_gone_is_told_everywhere_and_taken_up_by_command_and_by_reload(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.script = lambda number, request: Answer(410)
    mill = mill_with(tmp_path, hook(receiver))
    mill.start()
    try:
        mill.drop("a.jpg", pictures.jpeg())
        mill.wait_for(lambda: told(mill)["state"] == "disabled")
        assert told(mill)["waiting"] == 1
        assert mill.metric("dropmill_webhook_enabled") == 0
        [part] = [part for part in mill.get("/healthz").json()["parts"] if part["name"] == "webhook app"]
        assert part["status"] == "degraded"
        assert "dropmill webhooks enable app" in part["remedy"]
        assert receiver.url not in json.dumps(part)
        mill.wait_for(lambda: "a webhook is disabled" in mill.log.read_text())
        assert "disabled" in mill.run("webhooks").stdout
        assert "degraded webhook app" in mill.run("status").stdout
        receiver.script = lambda number, request: Answer()
        assert mill.run("webhooks", "enable", "app").returncode == 0
        mill.wait_for(lambda: told(mill)["delivered"] == 1)

        # A dead letter, and a change of the configuration under which it is sent again.
        receiver.script = lambda number, request: Answer(500)
        mill.configure(webhooks=[hook(receiver, max_attempts=2)])
        assert mill.run("reload").returncode == 0
        mill.drop("b.jpg", pictures.jpeg(pictures.photo(seed=2)))
        mill.wait_for(lambda: told(mill)["dead_letters"] == 1)
        [letter] = told(mill)["letters"]
        assert (letter["status"], letter["attempts"], letter["type"]) == (500, 2, "image.published")
        assert "dead letter" in mill.run("webhooks").stdout
        assert mill.metric("dropmill_webhook_dead_letters") == 1
        receiver.script = lambda number, request: Answer()
        assert mill.run("webhooks", "retry", "app").stdout == "1 of app sent again\n"
        mill.wait_for(lambda: told(mill)["delivered"] == 2)
        assert told(mill)["dead_letters"] == 0

        # A secret that cannot be used leaves the earlier configuration in force.
        (tmp_path / "bad").write_text("whsec_c2hvcnQ=\n")
        mill.configure(webhooks=[hook(receiver, secret_file="bad")])
        refused = mill.run("reload")
        assert refused.returncode == 2
        assert "webhook app" in refused.stdout + refused.stderr
        assert "c2hvcnQ" not in refused.stdout + refused.stderr + mill.log.read_text()
        mill.drop("c.jpg", pictures.jpeg(pictures.photo(seed=3)))
        mill.wait_for(lambda: told(mill)["delivered"] == 3)

        # Taken out, nobody is told; what it has been told stays.
        mill.configure(webhooks=[])
        assert mill.run("reload").returncode == 0
        mill.drop("d.jpg", pictures.jpeg(pictures.photo(seed=4)))
        mill.wait_for(lambda: len(mill.jobs("completed")) == 4)
        assert mill.get("/api/v1/webhooks").json() == []
    finally:
        mill.stop()


@pytest.mark.long
def test_a_person_sees_who_was_told_tries_it_with_the_secret_in_force_and_lets_go(
    tmp_path: Path, receiver: Receiver
) -> None:
    with receiving(lambda number, request: Answer(422)) as broken:
        mill = mill_with(tmp_path, hook(receiver), hook(broken, "broken", max_attempts=1))
        mill.start()
        try:
            mill.drop("a.jpg", pictures.jpeg())
            mill.wait_for(lambda: told(mill)["delivered"] == 1 and told(mill, "broken")["dead_letters"] == 1)
            story = " ".join(mill.why("a.jpg").split())
            assert "webhook app was told: image.published" in story
            assert "webhook broken could not be told: image.published (tried 1 time: it answered 422)" in story
            assert mill.get("/api/v1/status").json()["webhooks"][0]["delivered_at"]
            status = " ".join(mill.run("status").stdout.split())
            assert "webhooks 1 delivered, 0 waiting, 1 dead letter; told last at 20" in status

            # Both are signed by the secret that was read with the configuration, until that is read anew.
            (tmp_path / "secret").write_text(f"{OTHER_SECRET}\n")
            tried = mill.run("webhooks", "test", "app")
            assert (tried.returncode, "then: dropmill reload" in tried.stderr) == (0, True)
            mill.drop("b.jpg", pictures.jpeg(pictures.photo(seed=2)))
            mill.wait_for(lambda: told(mill)["delivered"] == 2)
            assert all(verified(request, SECRET) for request in receiver.requests)
            assert mill.run("reload").returncode == 0
            before = len(receiver.requests)
            tried = mill.run("webhooks", "test", "app")
            assert (tried.returncode, tried.stderr) == (0, "")
            mill.drop("c.jpg", pictures.jpeg(pictures.photo(seed=3)))
            mill.wait_for(lambda: told(mill)["delivered"] == 3)
            assert len(receiver.requests) == before + 2
            assert all(verified(request, OTHER_SECRET) for request in receiver.requests[before:])

            # What cannot be told is let go; of one that was taken out, whatever is owed to it.
            mill.wait_for(lambda: told(mill, "broken")["dead_letters"] == 3)
            assert mill.run("webhooks", "forget", "broken").stdout == "3 of broken let go\n"
            assert told(mill, "broken")["dead_letters"] == 0
            mill.configure(
                webhooks=[hook(receiver), hook(broken, "broken", retry_base_seconds=60, retry_cap_seconds=60)]
            )
            assert mill.run("reload").returncode == 0
            mill.drop("d.jpg", pictures.jpeg(pictures.photo(seed=4)))
            mill.wait_for(lambda: told(mill, "broken")["failures"] == 1)
            mill.configure(webhooks=[hook(receiver)])
            assert mill.run("reload").returncode == 0
            assert told(mill, "broken")["state"] == "not configured"
            assert "dropmill webhooks forget broken" in told(mill, "broken")["remedy"]
            assert mill.run("webhooks", "forget", "broken").stdout == "1 of broken let go\n"
            assert [one["name"] for one in mill.get("/api/v1/webhooks").json()] == ["app"]
            assert mill.run("webhooks", "forget", "broken").returncode == 1
        finally:
            mill.stop()
        # Where no daemon runs, the secret is read afresh.
        assert mill.run("webhooks", "test", "app").returncode == 0
        assert verified(receiver.requests[-1], OTHER_SECRET)


@pytest.mark.long
def test_check_tells_of_secrets_and_of_addresses_that_are_not_reached(tmp_path: Path) -> None:
    hooks = [
        {"name": "private", "url": "http://10.1.2.3/", "secret_file": "secret"},
        {"name": "open", "url": "http://10.1.2.3:3000/", "secret_file": "secret", "allow_networks": ["10.1.2.0/24"]},
        {"name": "mute", "url": "https://app.example/", "secret_variable": "NO_SUCH_SECRET"},
    ]
    mill = mill_with(tmp_path, *hooks)
    checked = mill.run("check", "--json")
    assert checked.returncode == 2
    found = {one["key"]: one for one in json.loads(checked.stdout)["findings"] if one["severity"] == "error"}
    assert set(found) == {"webhooks.0.url", "webhooks.2.secret_variable"}
    assert "allow_networks" in found["webhooks.0.url"]["remedy"]
    assert "NO_SUCH_SECRET" in found["webhooks.2.secret_variable"]["message"]
    started = mill.run("run", "--once")
    assert started.returncode == 2
    assert "NO_SUCH_SECRET" in started.stderr
    mill.configure(webhooks=hooks[1:2])
    well = json.loads(mill.run("check", "--json").stdout)
    assert well["ok"]
    assert any("webhook open" in line for line in well["tried"])
    listed = mill.run("webhooks", "--json")
    assert listed.returncode == 0, listed.stderr


@pytest.mark.long
def test_images_are_found_by_the_path_or_url_that_they_came_from(tmp_path: Path) -> None:
    mill = Mill(tmp_path, archive="archive", on_success="archive", top={})
    mill.start()
    try:
        for seed in range(3):
            mill.drop("camera/a.jpg", pictures.jpeg(pictures.photo(seed=seed)))
            mill.wait_for(lambda seed=seed: len(mill.jobs("completed")) == seed + 1)
            mill.wait_for(lambda: not (mill.inbox / "camera/a.jpg").exists())
        mill.drop("b.jpg", pictures.jpeg(pictures.photo(seed=9)))
        mill.wait_for(lambda: len(mill.jobs("completed")) == 4)
        source = str(mill.inbox / "camera/a.jpg")

        def page(**query: Any) -> dict[str, Any]:
            found: dict[str, Any] = mill.get("/api/v1/images", params=query).raise_for_status().json()
            return found

        whole = page(source=source)
        assert [image["id"] for image in whole["images"]] == [3, 2, 1]
        assert whole["next"] is None
        shas = {job["sha256"] for job in mill.jobs() if job["source"] == source}
        assert {image["sha256"] for image in whole["images"]} == shas
        first = page(source=source, limit=2)
        second = page(source=source, limit=2, cursor=first["next"])
        assert [image["id"] for image in first["images"] + second["images"]] == [3, 2, 1]
        assert second["next"] is None
        assert page(source=str(mill.inbox / "nothing.jpg")) == {"images": [], "next": None}
        assert page(source="https://example.com/nothing.jpg") == {"images": [], "next": None}
        archived = next(job["original"] for job in mill.jobs() if job["source"] == str(mill.inbox / "b.jpg"))
        assert [image["id"] for image in page(source=archived)["images"]] == [4]
        for query in ({}, {"source": "a.jpg"}, {"source": source, "cursor": "x"}):
            assert mill.get("/api/v1/images", params=query).status_code == 404
    finally:
        mill.stop()
