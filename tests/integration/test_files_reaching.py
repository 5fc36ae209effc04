"""Looking at, scanning and locking real directories: symlinks, pipes, leases, identities."""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import subprocess
import sys
import tracemalloc

import pytest

from dropmill.errors import ConfigurationError, Conflict
from dropmill.files import lease
from dropmill.files.access import (
    Missing,
    NotRegular,
    NotRegularFile,
    open_beneath,
    open_dir_beneath,
    owner_allowed,
    read_head,
    signature,
)
from dropmill.files.durable import make_dirs
from dropmill.files.lease import Lease
from dropmill.files.presence import HomeOutOfReach, presences
from dropmill.files.receipt import write_receipt
from dropmill.files.rename import exchange, rename_noreplace
from dropmill.files.roots import (
    lock_directory,
    lock_state,
    make_staging,
    output_identity,
    read_identity,
)
from dropmill.files.scan import Leftover, ScanError, Scanner
from dropmill.model.file import Signature
from dropmill.model.outcome import Reason
from dropmill.model.work import Troubled
from dropmill.pipeline.commit import out_of_reach

lease.ignore_sigio()


@pytest.fixture
def root(tmp_path):
    return os.fsencode(tmp_path)


def scanned(root, **options):
    entries, leftovers, errors = {}, [], []
    for chunk in Scanner(root, **options):
        for entry in chunk.entries:
            assert entry.rel not in entries
            entries[entry.rel] = entry
        leftovers += chunk.leftovers
        errors += chunk.errors
    return entries, leftovers, errors


def test_s01_symlinks_are_refused_wherever_they_stand(tmp_path, root):
    (tmp_path / "passwd.jpg").symlink_to("/etc/passwd")
    (tmp_path / "etc").symlink_to("/etc")
    assert signature(root, b"passwd.jpg") == NotRegular("symlink")
    assert signature(root, b"etc/passwd") == NotRegular("symlink")
    for rel in (b"passwd.jpg", b"etc/passwd"):
        with pytest.raises(NotRegularFile) as refused:
            open_beneath(root, rel)
        assert refused.value.kind == "symlink"
    entries, _, _ = scanned(root)
    assert {rel: entry.kind for rel, entry in entries.items()} == {b"passwd.jpg": "symlink", b"etc": "symlink"}


@pytest.mark.parametrize("rel", [b"../x", b"/etc/passwd", b"a/../../x", b"a//b", b".", b"", b"a\0b"])
def test_s01_paths_that_leave_the_root_are_no_paths(root, rel):
    with pytest.raises(ValueError):
        open_beneath(root, rel)


def test_s02_pipes_sockets_devices_and_directories_never_block(tmp_path, root):
    os.mkfifo(tmp_path / "fifo.jpg")
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(tmp_path, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{here}/socket.jpg")  # Test paths are longer than socket addresses may be.
    (tmp_path / "directory.jpg").mkdir()
    kinds = {b"fifo.jpg": "fifo", b"socket.jpg": "socket", b"directory.jpg": "directory"}
    try:
        os.mknod(tmp_path / "device.jpg", 0o020666, os.makedev(1, 3))
        kinds[b"device.jpg"] = "device"
    except PermissionError:
        pass  # Only root may make devices; the other kinds are enough.
    for rel, kind in kinds.items():
        assert signature(root, rel) == NotRegular(kind)
        with pytest.raises(NotRegularFile) as refused:
            read_head(root, rel, 10)
        assert refused.value.kind == kind
    entries, _, errors = scanned(root)
    assert {rel: entry.kind for rel, entry in entries.items()} == {
        rel: kind for rel, kind in kinds.items() if kind != "directory"
    }
    assert errors == []
    listener.close()
    os.close(here)


def test_s03_hard_links_to_strangers_files_are_refused_unless_wanted(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    single = (tmp_path / "a").stat()
    os.link(tmp_path / "a", tmp_path / "b")
    linked = (tmp_path / "a").stat()
    inbox = tmp_path.stat()
    stranger = os.stat_result((*linked[:4], 4242, *linked[5:10]))
    lonely = os.stat_result((*single[:4], 4242, *single[5:10]))
    assert owner_allowed(linked, inbox, euid=4711)
    assert owner_allowed(stranger, inbox, euid=4242)
    assert owner_allowed(lonely, inbox, euid=4711)
    assert not owner_allowed(stranger, inbox, euid=4711)
    assert owner_allowed(stranger, inbox, euid=4711, policy="any")


def test_missing_files_are_missing_and_heads_are_read(tmp_path, root):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert signature(root, b"b") == Missing()
    assert signature(root, b"a/b") == Missing()
    assert signature(root, b"x" * 300) == Missing()
    assert signature(root, b"a") == Signature.of((tmp_path / "a").stat())
    assert read_head(root, b"a", 4) == b"0123" and read_head(root, b"a", 99) == b"0123456789"


def test_w18_names_of_any_bytes_are_found(root):
    names = [b"caf\xe9.jpg", b"x" * 251 + b".jpg", b"a\nb.jpg", b"\x1b[31m.jpg", "\u202egpj.jpg".encode()]
    for name in names:
        with open(root + b"/" + name, "wb"):
            pass
    entries, _, _ = scanned(root)
    assert sorted(entries) == sorted(names)
    for name in names:
        assert isinstance(signature(root, name), Signature)


def test_w11_renames_links_and_copies_are_files_to_the_scan(tmp_path, root):
    (tmp_path / "upload").write_bytes(b"x")
    (tmp_path / "upload").rename(tmp_path / "renamed.jpg")
    os.link(tmp_path / "renamed.jpg", tmp_path / "linked.jpg")
    subprocess.run(["cp", "--reflink=auto", tmp_path / "renamed.jpg", tmp_path / "copied.jpg"], check=True)
    (tmp_path / "symlink.jpg").symlink_to("renamed.jpg")
    entries, _, _ = scanned(root)
    assert {rel for rel, entry in entries.items() if entry.kind == "file"} == {
        b"renamed.jpg",
        b"linked.jpg",
        b"copied.jpg",
    }


def test_w09_junk_is_neither_listed_nor_entered(tmp_path, root):
    for name in (
        "@eaDir/a.jpg",
        "#recycle/a.jpg",
        "__MACOSX/a.jpg",
        ".stversions/a.jpg",
        "sub/Thumbs.db",
        "sub/a.part",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("sub/a.jpg", "raw/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert set(scanned(root)[0]) == {b"sub/a.jpg", b"raw/a.jpg"}
    assert set(scanned(root, ignore=["raw"])[0]) == set(scanned(root, ignore=["raw/*"])[0]) == {b"sub/a.jpg"}
    assert set(scanned(root, recursive=False)[0]) == set()


def test_w10_w12_a_tree_is_scanned_in_bounded_chunks(tmp_path, root):
    expected = set()
    for directory in ("", "a/", "a/b/", "c/"):
        (tmp_path / directory).mkdir(exist_ok=True)
        for number in range(130):
            name = f"{directory}{number}.jpg"
            (tmp_path / name).touch()
            expected.add(os.fsencode(name))
    chunks = list(Scanner(root, chunk_entries=50))
    assert all(len(chunk.entries) <= 50 for chunk in chunks) and len(chunks) >= len(expected) / 50
    assert {entry.rel for chunk in chunks for entry in chunk.entries} == expected


def test_a_scan_reports_private_leftovers_and_errors_and_goes_on(tmp_path, root):
    for name in ("a.jpg", ".dropmill-12", ".dropmill-12+s.xmp", ".dropmill-x", "sub/.dropmill-7", "gone/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    entries, leftovers, errors = scanned(root)
    assert sorted(leftovers, key=lambda leftover: leftover.rel) == [
        Leftover(b".dropmill-12", 12, companion=False),
        Leftover(b".dropmill-12+s.xmp", 12, companion=True),
        Leftover(b"sub/.dropmill-7", 7, companion=False),
    ]
    assert set(entries) == {b"a.jpg", b"gone/x.jpg"} and errors == []
    scanner = Scanner(root, chunk_entries=1)
    assert scanner.next_chunk() is not None
    scanner.close()
    assert scanner.next_chunk() is None
    assert scanned(root + b"/missing")[2] == [ScanError(b"", 2)]


def test_a_directory_that_vanishes_during_the_scan_is_one_error(tmp_path, root):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").touch()
    scanner = Scanner(root, chunk_entries=1)
    first = scanner.next_chunk()
    assert first is not None
    entered = first.entries[0].rel.partition(b"/")[0].decode()
    other = "two" if entered == "one" else "one"
    (tmp_path / other / "x.jpg").unlink()
    (tmp_path / other).rmdir()
    rest = list(scanner)
    assert [chunk.errors for chunk in rest] == [(ScanError(other.encode(), 2),)]


def test_w33_memory_of_a_scan_does_not_grow_with_the_directory(tmp_path, root):
    def peak(files):
        for number in range(files):
            (tmp_path / f"{number:06}.jpg").touch()
        tracemalloc.start()
        found = sum(len(chunk.entries) for chunk in Scanner(root))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == files
        return most

    few = peak(1_000)
    assert peak(6_000) < few * 1.5 < 1_500_000


def test_a_scan_leaves_no_descriptor_open(tmp_path, root):
    for number in range(20):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / "x.jpg").touch()
    before = len(os.listdir("/proc/self/fd"))
    scanned(root)
    scanner = Scanner(root, chunk_entries=1)
    scanner.next_chunk()
    scanner.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert before < resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_leases_tell_whether_somebody_writes(tmp_path, root):
    (tmp_path / "x.jpg").write_bytes(b"x")
    if not lease.believed(root):
        assert lease.probe(root, b"x.jpg") is Lease.UNKNOWN
        pytest.skip("leases mean nothing on this file system")
    assert lease.probe(root, b"x.jpg") is Lease.FREE
    with (tmp_path / "x.jpg").open("rb"):
        assert lease.probe(root, b"x.jpg") is Lease.FREE
    with (tmp_path / "x.jpg").open("ab"):
        assert lease.probe(root, b"x.jpg") is Lease.BUSY
    assert lease.probe(root, b"x.jpg") is Lease.FREE
    os.mkfifo(tmp_path / "fifo")
    assert lease.probe(root, b"fifo") is Lease.UNKNOWN
    with pytest.raises(FileNotFoundError):
        lease.probe(root, b"missing")


def test_a_held_lease_does_not_kill_the_process_that_holds_it(tmp_path, root):
    """A writer breaks the lease; the SIGIO that announces it must do nothing."""
    (tmp_path / "x.jpg").write_bytes(b"x")
    program = """
import os, subprocess, sys
from dropmill.files import lease
from dropmill.files.access import open_beneath
lease.ignore_sigio()
root = os.fsencode(sys.argv[1])
fd = open_beneath(root, b"x.jpg")
held = lease.hold(fd)
writer = "import os,sys; os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)"
code = subprocess.run([sys.executable, "-c", writer, sys.argv[1] + "/x.jpg"], stderr=subprocess.DEVNULL).returncode
lease.release(fd)
print(held, "refused" if code else "let in")
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"free refused", "unknown let in"}


def test_directories_get_exact_modes_whatever_the_umask(tmp_path, root):
    before = os.umask(0o077)
    try:
        os.close(make_dirs(root, b"a/b", 0o775))
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o2755)
        os.close(make_dirs(root, b"shared/c", 0o755))
        os.close(make_dirs(root, b"a/b", 0o700))  # What exists is left as it is.
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "shared/c")}
    assert modes == {"a": 0o775, "a/b": 0o775, "shared/c": 0o2755}
    with pytest.raises(FileNotFoundError):
        make_dirs(root + b"/missing", b"a")
    if os.geteuid() == 0:
        os.close(make_dirs(root, b"grouped", 0o750, 1234))
        assert ((tmp_path / "grouped").stat().st_gid, (tmp_path / "grouped").stat().st_mode & 0o777) == (1234, 0o750)


def test_w25_a_file_where_a_folder_is_needed_is_named_with_the_remedy(tmp_path, root):
    (tmp_path / "year").mkdir()
    (tmp_path / "year" / "may").write_text("a file")
    with pytest.raises(NotADirectoryError) as met:
        make_dirs(root, b"year/may/first")
    assert met.value.strerror == "year/may is a file, and a folder is needed there: move or rename that file"
    assert (tmp_path / "year" / "may").read_text() == "a file"


def test_s12_a_directory_whose_name_could_not_be_made_durable_is_made_so_by_the_next_call(tmp_path, root, monkeypatch):
    """Also by that of another process: nothing but the directory itself remembers."""
    synced, real, failing = [], os.fsync, True

    def fsync(fd):
        if failing:
            raise OSError(errno.EIO, "bad disk")
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    for _ in range(2):
        with pytest.raises(OSError, match="bad disk"):
            make_dirs(root, b"a")
    failing = False
    os.close(make_dirs(root, b"a"))
    assert synced == [tmp_path.stat().st_ino]
    (tmp_path / "a" / "file").touch()
    os.close(make_dirs(root, b"a"))
    assert synced == [tmp_path.stat().st_ino], "known to be durable"


@pytest.mark.parametrize("renditions", [1, 10_000])
def test_a_receipt_of_ours_is_replaced_however_long_it_is(tmp_path, renditions):
    output = os.fsencode(tmp_path)
    make_staging(output)

    def write(inbox, job_id):
        entries = [
            {"name": "large", "page": page, "path": f"deep/scan-{page:05d}-large.jpg"} for page in range(renditions)
        ]
        document = {"dropmill": "1", "job": job_id, "inbox": inbox, "source": "scan.tif", "renditions": entries}
        payload = json.dumps(document, indent=2).encode() + b"\n"
        return write_receipt(output, b"deep/scan.json", payload, job_id, inbox, "scan.tif", "5" * 64, 0o644, 0o755, -1)

    assert [write("in", 1), write("in", 2)] == [b"deep/scan.json"] * 2
    assert json.loads((tmp_path / "deep" / "scan.json").read_bytes())["job"] == 2
    assert write("other", 3) == b"deep/scan~55555555.json", "a file of anyone else's is left"


@pytest.mark.parametrize("foreign", [b"", b"[" * 200_000, b'{"dropmill": "1"}', b'["a",\n  "renditions": ['])
def test_a_receipt_gives_way_to_any_file_that_is_none_of_ours(tmp_path, foreign):
    output = os.fsencode(tmp_path)
    make_staging(output)
    (tmp_path / "a.json").write_bytes(foreign)
    name = write_receipt(output, b"a.json", b"{}\n", 1, "in", "a.jpg", "5" * 64, 0o644, 0o755, -1)
    assert name == b"a~55555555.json"
    assert (tmp_path / "a.json").read_bytes() == foreign


def test_w39_a_home_that_cannot_be_looked_at_is_named(tmp_path, root, monkeypatch):
    """Nobody can tell then whether the same bytes elsewhere are a copy of it, or it was moved there."""
    real = os.open

    def refuse(path, *arguments, **options):
        if path == b"locked":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(HomeOutOfReach) as met:
        presences(root, 7, [(b"gone.jpg", 5, 1, 1), (b"locked/a.jpg", 6, 1, 1)], "0" * 64)
    assert (met.value.filename, met.value.errno) == (b"locked/a.jpg", errno.EACCES)
    assert out_of_reach(met.value) == Troubled(
        Reason.UNREADABLE, "locked/a.jpg, where these bytes were before, cannot be looked at: Permission denied"
    )


def test_renaming_never_overwrites_and_exchanging_swaps(tmp_path, root):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    fd = open_dir_beneath(root, b"")
    with pytest.raises(FileExistsError):
        rename_noreplace(fd, b"a", fd, b"b")
    exchange(fd, b"a", fd, b"b")
    assert (tmp_path / "a").read_bytes() == b"b" and (tmp_path / "b").read_bytes() == b"a"
    rename_noreplace(fd, b"a", fd, b"c")
    assert sorted(os.listdir(tmp_path)) == ["b", "c"]
    with pytest.raises(FileNotFoundError):
        rename_noreplace(fd, b"a", fd, b"d")
    os.close(fd)


def test_an_output_keeps_its_identity(tmp_path, root):
    assert read_identity(root) is None
    assert output_identity(root, lambda: "first-identity") == "first-identity"
    assert output_identity(root, lambda: "second-identity") == "first-identity"
    assert os.listdir(tmp_path / ".dropmill") == ["root-id"]
    assert (tmp_path / ".dropmill").stat().st_mode & 0o777 == 0o700
    assert make_staging(root) == root + b"/.dropmill"
    (tmp_path / ".dropmill" / "root-id").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="identity"):
        read_identity(root)
    with pytest.raises(FileNotFoundError):
        make_staging(root + b"/unmounted")


_HOLDER = """
import os, sys
from dropmill.files import roots
getattr(roots, sys.argv[1])(os.fsencode(sys.argv[2]), *([os.getpid()] if sys.argv[1] == "lock_state" else []))
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("function", "lock"), [("lock_state", lambda path: lock_state(path, 1)), ("lock_directory", lock_directory)]
)
def test_q12_w41_a_second_daemon_is_told_who_was_first(tmp_path, root, function, lock):
    command = [sys.executable, "-c", _HOLDER, function, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        pid = holder.stdout.readline().strip()
        with pytest.raises(Conflict, match=f"pid {pid}") as refused:
            lock(root)
        assert refused.value.hint
        holder.kill()
        holder.wait()
    held = lock(root)  # W19: a daemon that was killed leaves nothing to clean up.
    assert held.enforced
    with pytest.raises(Conflict):
        lock(root)
    held.release()
    lock(root).release()
    if function == "lock_directory":
        assert os.listdir(tmp_path) == []
