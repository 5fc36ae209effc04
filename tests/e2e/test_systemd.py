"""systemd/dropmill.service in a real systemd: start, watchdog, reload, stop, refusals, sandbox, token, journal."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Final

import pytest

import pictures
from parts import need_module
from systemd_bed import PROJECT, Bed, wait_for
from systemd_service import Service, files, install

pytestmark = pytest.mark.long

# Beside what is tested, the work is to be short, and the catalog's disk need not be large.
_QUICK: Final = """
min_free_mb = 0
[workers]
processes = 2
[queue]
retry_base_seconds = 0.2
[profiles.test]
renditions = [{ name = "t", fit = [48, 48] }]
"""
_INBOX: Final = """
[[inboxes]]
name = "camera"
path = "/srv/dropmill/inbox"
output = "/srv/dropmill/outbox"
archive = "/srv/dropmill/archive"
profile = "test"
settle_seconds = 0.2
"""


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    bed = Bed()
    try:
        install(bed)
        yield bed
    finally:
        bed.close()


@pytest.fixture
def service(bed: Bed) -> Iterator[Service]:
    service = Service(bed, "dropmill")
    service.configure(_QUICK + _INBOX)
    yield service
    service.clear()


def picture(seed: int) -> bytes:
    return pictures.jpeg(pictures.photo(320, 240, seed))


def large(count: int) -> list[bytes]:
    """Pictures that take a worker a while, made quickly: one scene, and in each another sign."""
    scene = pictures.photo(2400, 1800, 1)
    made = []
    for number in range(count):
        scene.paste((number * 12, 255 - number * 12, 90), (100 * number, 300, 100 * number + 400, 900))
        made.append(pictures.jpeg(scene))
    return made


def test_the_unit_starts_works_and_tells_status_and_journal(service: Service) -> None:
    need_module("systemd")  # Without the extra the journal gets lines and no fields.
    bed = service.bed
    # What the bed has is what README.md says to do, so the manager itself has to have nothing to say about it.
    units = ["dropmill.service", "dropmill@x.service", "dropmill.socket"]
    assert bed.run("systemd-analyze", "verify", "--man=no", *units).stderr == ""
    service.start()
    assert service.shows("ActiveState", "SubState") == ["active", "running"]
    assert "1 inboxes, http://127.0.0.1:8686/" in service.shows("StatusText")[0]
    service.drop("a.jpg", picture(1), owner="ann")
    service.drop("broken.jpg", b"\xff\xd8\xff\xe0" + bytes(600))
    service.wait_for(lambda: service.done(2))
    assert service.outputs() == ["a-t.jpg"]
    assert service.archived() == ["a.jpg"]
    counted = ("1 published", "1 discarded")
    service.wait_for(lambda: all(count in service.shows("StatusText")[0] for count in counted))
    jobs = {job["source"].rpartition("/")[2]: job["id"] for job in service.jobs()}
    for name, word in (("a.jpg", "published"), ("broken.jpg", "discarded")):
        path = f"/srv/dropmill/inbox/{name}"
        service.wait_for(lambda path=path, word=word: service.told(DROPMILL_PATH=path, DROPMILL_EVENT=word))
        (entry,) = service.told(DROPMILL_PATH=path, DROPMILL_EVENT=word)
        assert (entry["DROPMILL_JOB_ID"], entry["DROPMILL_INBOX"]) == (str(jobs[name]), "camera")
        # One line of many fields, from the daemon itself and in its words, not a line of text that a pipe took.
        assert (entry["_TRANSPORT"], entry["SYSLOG_IDENTIFIER"]) == ("journal", "dropmill")
        assert path in entry["MESSAGE"]
    assert len(service.told(DROPMILL_OUTCOME="published", PRIORITY="6")) == 1
    assert service.told(DROPMILL_EVENT="discarded", PRIORITY="4")[0]["DROPMILL_REASON"] == "corrupt"


def test_s11_whatever_hangs_it_is_killed_and_started_again_and_nothing_is_lost_or_doubled(service: Service) -> None:
    frozen = "/srv/dropmill/.frozen"
    service.bed.run("install", "-d", "-o", "dropmill", frozen)
    service.bed.write("/opt/dropmill/freezing.py", (PROJECT / "tests" / "freezing.py").read_text("utf-8"))
    start = f"ExecStartPre=/bin/sh -c 'rm -f {frozen}/*'\nExecStart=\n"
    start += f"ExecStart=/opt/dropmill/bin/python /opt/dropmill/freezing.py {frozen} 4 run\n"
    service.override("watchdog", f"[Service]\nWatchdogSec=6\nRestartSec=100ms\n{start}")
    service.start()
    pictures_left = large(12)
    for part, said in {"loop": "Watchdog timeout", "claimer": "the claimer: ", "reader": "the watchers: "}.items():
        restarts, outputs = int(service.shows("NRestarts")[0]), len(service.outputs())
        names = [f"{part}-{number}.jpg" for number in range(4)]
        service.drop_all({name: pictures_left.pop() for name in names})
        service.wait_for(lambda outputs=outputs: len(service.outputs()) > outputs)
        (service.bed.path(frozen) / part).touch()
        service.wait_for(lambda restarts=restarts: int(service.shows("NRestarts")[0]) > restarts)
        assert said in service.said()
        service.wait_for(lambda outputs=outputs: len(service.archived()) == outputs + 4)
    assert "result 'watchdog'" in service.said()
    service.wait_for(lambda: service.done(12))
    names = [f"{part}-{number}" for part in ("claimer", "loop", "reader") for number in range(4)]
    assert service.outputs() == [f"{name}-t.jpg" for name in names]
    assert service.archived() == [f"{name}.jpg" for name in names]
    assert service.in_inbox() == []
    jobs = service.jobs()
    assert len(jobs) == 12
    assert {job["outcome"] for job in jobs} == {"published"}


def test_a_good_reload_is_applied_and_a_bad_one_leaves_it_running_and_says_why(service: Service) -> None:
    service.start()
    before = service.shows("MainPID")
    service.configure(_QUICK + _INBOX.replace("[48, 48]", "[40, 40]") + "receipts = true\n")
    service.bed.systemctl("reload", "dropmill")
    service.wait_for(lambda: "the new configuration is in force" in service.said())
    service.drop("a.jpg", picture(3))
    service.wait_for(lambda: service.done(1))
    assert service.outputs() == ["a-t.jpg", "a.json"]
    service.configure(_QUICK + _INBOX + 'on_success = "burn"\n')
    service.bed.systemctl("reload", "dropmill")
    service.wait_for(lambda: "refused" in service.shows("StatusText")[0])
    assert service.shows("ActiveState", "NRestarts") == ["active", "0"]
    assert service.shows("MainPID") == before
    assert "on_success" in service.shows("StatusText")[0]
    service.wait_for(lambda: [entry for entry in service.told() if "on_success" in entry["MESSAGE"]])
    service.wait_for(lambda: "configuration" in service.dropmill("status", check=False).stdout)
    assert "on_success" in service.dropmill("reload", check=False).stderr
    # What was in force stays so.
    service.drop("b.jpg", picture(4))
    service.wait_for(lambda: service.done(2))
    assert service.outputs() == ["a-t.jpg", "a.json", "b-t.jpg", "b.json"]


def test_s09_a_stop_with_jobs_in_flight_keeps_the_deadline_and_the_next_start_finishes_them(service: Service) -> None:
    # Shorter than the daemon's own deadline: while it drains it asks for more time (EXTEND_TIMEOUT_USEC).
    service.override("stop", "[Service]\nTimeoutStopSec=5\n")
    service.configure("shutdown_timeout_seconds = 8\n" + _QUICK + _INBOX)
    service.start()
    service.drop("first.jpg", picture(40))
    service.wait_for(lambda: service.done(1))
    service.stop_workers()
    names = [f"{number}.jpg" for number in range(41, 47)]
    service.drop_all({name: picture(int(name[:2])) for name in names})
    service.wait_for(lambda: service.get("/api/v1/status")["queue"]["executing"])
    service.stop()
    # A stop that had to be ended by force is a failure, and its result is "timeout".
    assert service.shows("ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]
    assert service.outputs() == ["first-t.jpg"]
    assert service.in_inbox() == names
    service.start()
    service.wait_for(lambda: service.done(7))
    assert service.outputs() == [*(name.replace(".jpg", "-t.jpg") for name in names), "first-t.jpg"]
    assert len(service.jobs()) == 7


def test_a_configuration_error_ends_with_2_and_is_not_tried_again(service: Service) -> None:
    service.configure(_QUICK + _INBOX + 'on_success = "burn"\n')
    done = service.bed.systemctl("start", "dropmill", check=False)
    assert done.returncode != 0
    assert service.shows("ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "2", "0"]
    assert "on_success" in service.said()
    assert "Scheduled restart job" not in service.said()


def test_a_token_of_the_manager_is_readable_for_the_daemon_alone(service: Service) -> None:
    bed = service.bed
    bed.write("/etc/dropmill/token", "a-token-of-the-test-that-is-long\n", mode=0o600)
    service.configure(_QUICK + '[http]\ntoken_file = "/etc/dropmill/token"\n' + _INBOX)
    # As the head of the unit has it.
    service.override(
        "token",
        "[Service]\nLoadCredential=token:/etc/dropmill/token\nEnvironment=DROPMILL_HTTP__TOKEN_FILE=%d/token\n",
    )
    service.start()
    assert json.loads(service.dropmill("status", "--json").stdout)["version"]
    asked = "import urllib.request as u; u.urlopen('http://127.0.0.1:8686/api/v1/status')"
    refused = bed.run("/opt/dropmill/bin/python", "-c", asked, check=False)
    assert "401" in refused.stderr
    shown = bed.run("su", "ann", "-c", "cat /run/credentials/dropmill.service/token /etc/dropmill/token", check=False)
    assert shown.stdout == ""
    assert shown.stderr.count("Permission denied") == 2


def test_the_sandbox_forbids_what_it_says(service: Service) -> None:
    bed = service.bed
    forbidden = ["/opt/open", "/etc/open", "/var/lib/open", "/home/open"]
    for folder in forbidden:
        bed.run("install", "-d", "-m", "777", folder)
    bed.run("chmod", "755", "/home/ann")
    own = ["/srv/dropmill", "/var/lib/dropmill", "/tmp"]
    elsewhere = "192.0.2.1/32"
    bed.run("ip", "address", "add", elsewhere, "dev", "lo")
    try:
        found = probe(service, [*own, *forbidden])
        # What fails for another reason than the sandbox would prove nothing: it succeeds once it is allowed.
        opened = probe(service, [*own, *forbidden], "IPAddressAllow=any\nReadWritePaths=/opt/open\n")
        loose = probe(service, forbidden, "ProtectHome=no\nProtectProc=default\nMemoryDenyWriteExecute=no\n")
    finally:
        bed.run("ip", "address", "del", elsewhere, "dev", "lo")
    allowed = {f"write {folder}" for folder in own} | {"loopback", "worker"}
    assert done(found) == allowed, found
    assert done(opened) == allowed | {"network", "write /opt/open"}, opened
    assert done(loose) >= {"read a home", "other processes", "code that was written"}, loose
    assert [found["network"], found["write /opt/open"], found["packets"]] == ["EPERM", "EROFS", "EAFNOSUPPORT"]


def probe(service: Service, folders: list[str], opened: str = "") -> dict[str, str]:
    script = (PROJECT / "tests" / "sandbox_probe.py").read_text("utf-8")
    found: dict[str, str] = json.loads(service.instead(script, "192.0.2.1", ":".join(folders), opened=opened))
    return found


def done(found: dict[str, str]) -> set[str]:
    return {name for name, answer in found.items() if answer == "done"}


def test_the_printed_drop_in_opens_the_unit_for_folders_elsewhere(service: Service) -> None:
    bed = service.bed
    bed.run("sh", "-c", "mkdir /data && mount -t tmpfs none /data && useradd keeper && groupadd scans")
    pictures_of = "/data/my pictures; 100% $HOME"
    bed.run("install", "-d", "-o", "keeper", "-g", "scans", "-m", "2775", pictures_of, f"{pictures_of}/in")
    bed.run("install", "-d", "-o", "dropmill", "-g", "dropmill", f"{pictures_of}/kept", "/home/ann/out: new")
    service.configure(
        f'{_QUICK}[[inboxes]]\nname = "scans"\npath = "{pictures_of}/in"\noutput = "/home/ann/out: new"\n'
        f'archive = "{pictures_of}/kept"\nprofile = "test"\nsettle_seconds = 0.2\n'
    )
    service.inbox, service.output = f"{pictures_of}/in", "/home/ann/out: new"
    asks = "import sys; from dropmill.files import lease; print(lease.probe(sys.argv[1].encode(), b'a.jpg'))"
    try:
        printed = json.loads(service.dropmill("check", "--unit", "--json").stdout)
        assert printed["file"] == "/etc/systemd/system/dropmill.service.d/folders.conf"
        bed.write(printed["file"], printed["text"])
        bed.systemctl("daemon-reload")
        assert bed.run("systemd-analyze", "verify", "--man=no", "dropmill.service").stderr == ""
        bed.run("systemd-analyze", "security", "--threshold=15", "dropmill.service")
        service.start()
        service.drop("a.jpg", picture(8), owner="keeper")
        inode = (bed.path(service.inbox) / "a.jpg").stat().st_ino
        service.wait_for(lambda: service.done(1))
        assert service.outputs() == ["a-t.jpg"]
        # Moved, not copied: both are in one mount.
        assert (bed.path(pictures_of) / "kept" / "a.jpg").stat().st_ino == inode
        service.stop()
        service.drop("a.jpg", picture(9), owner="keeper")
        assert service.instead(asks, service.inbox) == "free"
        without = "AmbientCapabilities=\nCapabilityBoundingSet=\n"
        assert service.instead(asks, service.inbox, opened=without) == "unknown"
    finally:
        service.clear()
        bed.run("sh", "-c", "umount /data && rmdir /data")


@pytest.mark.parametrize("output", ["/data", "/data/out"])
def test_a_disk_that_is_away_stops_nothing_but_what_is_on_it(service: Service, output: str) -> None:
    """W27, in the sandbox: at a start, while it runs, and once the disk is there."""
    bed = service.bed
    disk = "[Mount]\nWhere=/data\nWhat=/var/disk\n"
    there, away = f"{disk}Type=none\nOptions=bind\n", f"{disk}Type=no-such-file-system\n"
    bed.run("install", "-d", "-o", "dropmill", "-g", "dropmill", "/var/disk", "/var/disk/out")
    bed.write("/etc/systemd/system/data.mount", there)
    bed.systemctl("daemon-reload")
    bed.systemctl("start", "data.mount")
    second = _INBOX.replace("camera", "scans").replace("/srv/dropmill/inbox", "/srv/dropmill/scans")
    service.configure(_QUICK + _INBOX + second.replace("/srv/dropmill/outbox", output))
    bed.run("install", "-d", "-o", "dropmill", "-g", "dropmill", "/srv/dropmill/scans")
    try:
        printed = json.loads(service.dropmill("check", "--unit", "--json").stdout)
        bed.write(printed["file"], printed["text"])
        bed.systemctl("daemon-reload")
        assert "data.mount" in service.shows("Wants")[0] and "data.mount" not in service.shows("Requires")[0]
        service.start()
        assert bed.show("data.mount", "ActiveState") == {"ActiveState": "active"}
        # Away while it runs.
        bed.write("/etc/systemd/system/data.mount", away)
        bed.systemctl("daemon-reload")
        bed.systemctl("stop", "data.mount")
        assert service.shows("ActiveState") == ["active"]
        # Away at a start.
        service.stop()
        service.start()
        assert bed.show("data.mount", "ActiveState") == {"ActiveState": "failed"}
        service.drop("a.jpg", picture(5))
        service.inbox = "/srv/dropmill/scans"
        service.drop("b.jpg", picture(6))
        service.wait_for(lambda: service.outputs() == ["a-t.jpg"])
        service.wait_for(lambda: f"inbox waits for its surroundings  {output}  " in service.said())
        assert service.in_inbox() == ["b.jpg"]
        # It comes: the sandbox lets it through.
        bed.write("/etc/systemd/system/data.mount", there)
        bed.systemctl("daemon-reload")
        bed.systemctl("start", "data.mount")
        service.wait_for(lambda: service.done(2))
        assert "b-t.jpg" in files(bed.path(output))
    finally:
        service.clear()
        undo = "systemctl stop data.mount; rm -rf /etc/systemd/system/data.mount /var/disk /srv/dropmill/scans; rmdir /data"
        bed.run("sh", "-c", f"{undo}; systemctl daemon-reload; systemctl reset-failed", check=False)


def _pid_told(service: Service) -> int:
    """0 while it starts or stops."""
    try:
        return int(service.get("/api/v1/status")["pid"])
    except (OSError, http.client.HTTPException):
        return 0


def test_the_socket_unit_holds_the_address_while_the_daemon_is_away(service: Service) -> None:
    bed = service.bed
    service.configure(f'{_QUICK}[http]\nbind = "127.0.0.1:9"\n{_INBOX}')
    bed.systemctl("start", "dropmill.socket")
    try:
        assert service.shows("ActiveState") == ["inactive"]
        service.wait_for(lambda: _pid_told(service))
        first = _pid_told(service)
        service.wait_for(lambda: service.shows("ActiveState") == ["active"])
        service.bed.systemctl("restart", "dropmill")
        service.wait_for(lambda: _pid_told(service) not in {0, first})
        assert service.dropmill("health").returncode == 0
    finally:
        bed.systemctl("stop", "dropmill.socket")


def test_the_unit_of_a_user_runs_with_folders_in_their_home(bed: Bed) -> None:
    uid = bed.run("id", "-u", "ann").stdout.strip()
    folders = "Pictures/in Pictures/out .config/dropmill .config/systemd/user .local/state .local/share"
    runtime = f"/run/user/{uid}"

    def ann(*command: str, stdin: str = "") -> str:
        own = ["env", "HOME=/home/ann", f"XDG_RUNTIME_DIR={runtime}", *command]
        return bed.run("setpriv", "--reuid=ann", "--regid=ann", "--init-groups", *own, stdin=stdin).stdout

    def state() -> dict[str, str]:
        told = ann("systemctl", "--user", "show", "dropmill", "--property=ActiveState,StatusText,NRestarts")
        return dict(line.split("=", 1) for line in told.splitlines())

    bed.systemctl("start", f"user@{uid}.service")
    try:
        # As the head of the unit has it; the program is the bed's own.
        ann("sh", "-c", f"cd /home/ann && mkdir -p {folders} && ln -s /opt/dropmill .local/share/dropmill")
        ann("sh", "-c", "cp /etc/systemd/user/dropmill.service /home/ann/.config/systemd/user/")
        inbox = _INBOX.replace("/srv/dropmill/inbox", "/home/ann/Pictures/in").replace("archive = ", "# archive = ")
        inbox = inbox.replace("/srv/dropmill/outbox", "/home/ann/Pictures/out")
        text = f'state_dir = "/home/ann/.local/state/dropmill"\n{_QUICK}[http]\nbind = "127.0.0.1:8710"\n{inbox}'
        ann("sh", "-c", "cat >/home/ann/.config/dropmill/dropmill.toml", stdin=text)
        ann("systemctl", "--user", "daemon-reload")
        ann("systemctl", "--user", "enable", "--now", "dropmill")
        assert state()["ActiveState"] == "active"
        (bed.path("/home/ann/Pictures/in") / "a.jpg").write_bytes(picture(6))
        output = bed.path("/home/ann/Pictures/out")
        wait_for(lambda: files(output) == ["a-t.jpg"])
        wait_for(lambda: "1 published" in state()["StatusText"])
        assert (output / "a-t.jpg").stat().st_uid == int(uid)
        ann("systemctl", "--user", "reload", "dropmill")
        ann("systemctl", "--user", "stop", "dropmill")
        assert (state()["ActiveState"], state()["NRestarts"]) == ("inactive", "0")
    finally:
        bed.systemctl("stop", f"user@{uid}.service")


def test_two_instances_run_side_by_side(bed: Bed) -> None:
    pair = [Service(bed, f"dropmill@{name}", port) for port, name in enumerate(("one", "two"), 8701)]
    try:
        for service in pair:
            name = service.instance
            folder = f"/srv/dropmill/{name}"
            bed.run("install", "-d", "-o", "dropmill", "-g", "dropmill", f"{folder}/in", f"{folder}/out")
            service.configure(
                f'state_dir = "/var/lib/dropmill-{name}"\n{_QUICK}\n[http]\nbind = "127.0.0.1:{service.port}"\n'
                f'[[inboxes]]\nname = "{name}"\npath = "{folder}/in"\noutput = "{folder}/out"\nprofile = "test"\n'
                "settle_seconds = 0.2\n"
            )
            service.inbox, service.output = f"{folder}/in", f"{folder}/out"
            service.start()
        for seed, service in enumerate(pair, 5):
            service.drop("a.jpg", picture(seed))
        for service in pair:
            service.wait_for(lambda service=service: service.done(1))
            assert service.outputs() == ["a-t.jpg"]
            assert [inbox["name"] for inbox in service.get("/api/v1/status")["inboxes"]] == [service.instance]
        bed.systemctl("stop", "dropmill@one")
        assert pair[1].shows("ActiveState") == ["active"]
    finally:
        for service in pair:
            service.clear()
