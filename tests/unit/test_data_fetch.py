"""Fetching against a server of our own that truncates, breaks off, lies and fails as real ones do."""

import errno
import gzip
import hashlib
import io
import os
import re
import socket
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from compresslab.artifacts import read_json
from compresslab.data import fetch as fetch_module
from compresslab.data.archive import tree_sha256
from compresslab.data.dataset import RemoteArchive, RemoteFile
from compresslab.data.download import Patience
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch

# Random bytes do not compress, so the published file is long enough to be broken off in the middle.
CONTENT = np.random.default_rng(0).bytes(300_000)
PUBLISHED = gzip.compress(CONTENT, mtime=0)
NAME = "digits.gz"
HURRIED = Patience(attempts=3, pause_s=0.0, timeout_s=2.0)


@dataclass
class Server:
    """What the server does with its next requests; ``ranges`` is what it was asked for."""

    address: str = ""
    body: bytes = PUBLISHED
    statuses: list[int] = field(default_factory=list)
    break_after: list[int] = field(default_factory=list)
    resumes: bool = True
    announces_length: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            handler.send_error(status)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.resumes else 0
        if start and start >= len(self.body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if self.announces_length:
            handler.send_header("Content-Length", str(len(self.body) - start))
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        stop = start + self.break_after.pop(0) if self.break_after else len(self.body)
        handler.wfile.write(self.body[start:stop])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *_):
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.address = f"http://127.0.0.1:{listener.server_port}/{NAME}"
    yield served
    listener.shutdown()
    listener.server_close()
    thread.join()


def _publish(monkeypatch, *urls, name=NAME, content=CONTENT):
    file = RemoteFile(name, urls, hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setattr(fetch_module, "open_dataset", lambda *_: SimpleNamespace(FILES=(file,)))


@pytest.fixture
def published(server, monkeypatch):
    _publish(monkeypatch, server.address)


def _fetch(folder, source="upstream", mirror=None):
    return fetch("toy", source, folder, mirror, HURRIED)


def _refused(folder, **arguments) -> str:
    """Fetch, expect a refusal of one line and nothing at the final names; return the line."""
    with pytest.raises(DataError) as caught:
        _fetch(folder, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("toy: ")
    assert not (folder / NAME).exists()
    assert not (folder / fetch_module.RECEIPT).exists()
    return message


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.usefixtures("published")
def test_a_good_download_is_placed_with_a_receipt(tmp_path, capfd):
    files = _fetch(tmp_path / "raw")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [NAME, "fetched.json"]
    assert (tmp_path / "raw" / NAME).read_bytes() == PUBLISHED
    assert read_json(tmp_path / "raw" / "fetched.json")["files"] == [files[0].model_dump()]
    assert files[0].sha256 == hashlib.sha256(CONTENT).hexdigest()
    progress = capfd.readouterr().err
    assert NAME in progress
    assert "100%" in progress


@pytest.mark.usefixtures("published")
def test_the_placed_file_can_be_read_by_others(tmp_path):
    _fetch(tmp_path)
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.usefixtures("published")
def test_a_good_file_is_not_fetched_again(tmp_path, server):
    _fetch(tmp_path)
    _fetch(tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("published")
def test_a_damaged_file_is_fetched_again(tmp_path):
    (tmp_path / NAME).write_bytes(PUBLISHED[:-100])
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == PUBLISHED


@pytest.mark.usefixtures("published")
def test_a_recompressed_copy_is_welcome(tmp_path, server):
    server.body = gzip.compress(CONTENT, compresslevel=1, mtime=7)
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == server.body


def test_an_uncompressed_file_is_checked_too(tmp_path, server, monkeypatch):
    _publish(monkeypatch, server.address, name="digits.bin")
    server.body = CONTENT
    _fetch(tmp_path)
    assert (tmp_path / "digits.bin").read_bytes() == CONTENT


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (PUBLISHED[: len(PUBLISHED) // 2], "is truncated"),
        (PUBLISHED[:1000] + b"\xff\x00\xff\x00" + PUBLISHED[1004:], "is corrupted"),
        (b"<html>Please log in</html>", "not a gzip file"),
        (b"", "is truncated"),
        (gzip.compress(CONTENT[::-1], mtime=0), "is not the published file"),
        (gzip.compress(CONTENT[:-1], mtime=0), "is truncated"),
        (gzip.compress(bytes(50_000_000), mtime=0), "holds more than the published 300,000 bytes"),
        (PUBLISHED + bytes(100_000), "sends more than the"),
    ],
    ids=["truncated", "corrupted", "log-in page", "empty", "other content", "short content", "bomb", "too long"],
)
def test_a_wrong_file_is_named_and_not_kept(tmp_path, server, body, reason):
    server.body = body
    assert reason in _refused(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("published")
def test_not_found_is_final_at_once(tmp_path, server):
    server.statuses = [404] * 9
    message = _refused(tmp_path)
    assert "HTTP 404" in message
    assert "data.mirror" in message
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("status", [500, 503, 429, 416])
def test_a_passing_server_error_is_tried_again(tmp_path, server, status):
    server.statuses = [status, status]
    _fetch(tmp_path)
    assert len(server.ranges) == 3


@pytest.mark.usefixtures("published")
def test_a_lasting_server_error_ends(tmp_path, server):
    server.statuses = [500] * 9
    assert "HTTP 500" in _refused(tmp_path)
    assert len(server.ranges) == HURRIED.attempts


@pytest.mark.usefixtures("published")
def test_a_broken_connection_is_resumed_where_it_broke(tmp_path, server):
    server.break_after = [100_000]
    _fetch(tmp_path)
    resumed_at = int(server.ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < resumed_at <= 100_000
    assert (tmp_path / NAME).read_bytes() == PUBLISHED
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.usefixtures("published")
def test_an_interrupted_fetch_is_resumed_by_the_next(tmp_path, server):
    server.break_after = [50_000, 50_000, 50_000]
    assert "broke the connection" in _refused(tmp_path)
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(NAME)
    assert partial.suffix == ".partial"
    _fetch(tmp_path)
    assert server.ranges[-1] != server.ranges[0]
    assert (tmp_path / NAME).read_bytes() == PUBLISHED
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.usefixtures("published")
def test_a_server_that_cannot_resume_sends_everything_again(tmp_path, server):
    server.resumes = False
    server.break_after = [100_000]
    _fetch(tmp_path)
    assert server.ranges[1] is not None
    assert (tmp_path / NAME).read_bytes() == PUBLISHED


@pytest.mark.usefixtures("published")
def test_a_file_that_changed_between_its_halves_is_fetched_afresh(tmp_path, server):
    server.break_after = [50_000] * HURRIED.attempts
    _refused(tmp_path)
    server.body = gzip.compress(CONTENT, compresslevel=1, mtime=7)
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == server.body
    assert server.ranges[-1] is None


@pytest.mark.usefixtures("published")
def test_a_partial_that_is_longer_than_the_file_is_dropped(tmp_path, server):
    server.break_after = [50_000] * HURRIED.attempts
    _refused(tmp_path)
    (partial,) = tmp_path.iterdir()
    partial.write_bytes(bytes(len(PUBLISHED) + 5))
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == PUBLISHED


@pytest.mark.usefixtures("published")
def test_a_complete_partial_needs_no_server(tmp_path, server):
    server.break_after = [50_000] * HURRIED.attempts
    _refused(tmp_path)
    (partial,) = tmp_path.iterdir()
    partial.write_bytes(PUBLISHED)
    server.statuses = [500] * 9
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == PUBLISHED


@pytest.mark.usefixtures("published")
def test_a_silent_end_without_a_length_is_noticed(tmp_path, server):
    server.announces_length = False
    server.break_after = [100_000] * HURRIED.attempts
    assert "is truncated" in _refused(tmp_path)


@pytest.mark.usefixtures("published")
def test_a_gzip_label_does_not_unpack_the_file(tmp_path, server):
    server.headers = {"Content-Encoding": "gzip"}
    _fetch(tmp_path)
    assert (tmp_path / NAME).read_bytes() == PUBLISHED


def test_the_next_address_is_tried_with_its_own_partial(tmp_path, server, monkeypatch):
    other = server.address.replace(NAME, f"other/{NAME}")
    _publish(monkeypatch, server.address, other)
    server.statuses = [404]
    _fetch(tmp_path)
    assert server.ranges == [None, None]


def test_no_network_names_every_address_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    port = _closed_port()
    _publish(monkeypatch, f"http://127.0.0.1:{port}/{NAME}", f"http://no-such-host.invalid/{NAME}")
    message = _refused(tmp_path)
    assert f"127.0.0.1:{port} refused the connection" in message
    assert "no-such-host.invalid cannot be found (no network" in message
    assert "embedded" in message


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("NO_PROXY", "*")
        _publish(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}")
        with pytest.raises(DataError, match=r"did not answer within 0\.1 s"):
            fetch("toy", "upstream", tmp_path, patience=Patience(attempts=1, timeout_s=0.1))


@pytest.mark.usefixtures("published")
def test_a_full_disk_is_called_that(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("compresslab.data.progress.tqdm.update", full)
    assert "the disk is full" in _refused(tmp_path)


@pytest.mark.usefixtures("published")
def test_a_destination_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "raw").write_text("in the way")
    with pytest.raises(DataError, match=r"toy: cannot read or write .*raw"):
        _fetch(tmp_path / "raw")


@pytest.fixture
def archive(server, monkeypatch):
    """A published archive with one wanted file; the server answers with it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("toys-main/Data/digits.bin", CONTENT)
        opened.writestr("toys-main/README.md", "read me")
    server.body = packed.getvalue()
    listed = {"digits.bin": (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())}
    published = RemoteArchive(
        name="Data",
        file="toys.zip",
        urls=(server.address,),
        root="toys-*/Data",
        wanted=("*.bin",),
        sha256=tree_sha256(listed),
        bytes=len(CONTENT),
        files=1,
        most_bytes=500_000,
    )
    monkeypatch.setattr(fetch_module, "open_dataset", lambda *_: SimpleNamespace(FILES=(published,)))
    return published


@pytest.mark.usefixtures("archive")
def test_an_archive_is_received_unpacked_and_removed(tmp_path, server):
    server.headers = {"Content-Disposition": "attachment; filename=toys-main.zip"}
    server.announces_length = False
    _fetch(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Data", "fetched.json"]
    assert (tmp_path / "Data" / "digits.bin").read_bytes() == CONTENT
    _fetch(tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.usefixtures("archive")
def test_an_interrupted_archive_is_resumed_by_the_next_fetch(tmp_path, server):
    server.break_after = [50_000] * HURRIED.attempts
    assert "broke the connection" in _refused(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    _fetch(tmp_path)
    assert server.ranges[-1] is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Data", "fetched.json"]


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body[:-100], "answered with a file that is truncated, corrupted or not an archive"),
        (lambda _: b"<html>Please log in</html>", "is truncated, corrupted or not an archive"),
        (lambda body: body.replace(CONTENT[:9], CONTENT[9:0:-1]), "is truncated, corrupted or not an archive"),
        (lambda body: body + bytes(600_000), "sends more than the 500,000 bytes"),
    ],
    ids=["truncated", "log-in page", "corrupted", "too long"],
)
def test_a_wrong_archive_is_named_and_nothing_is_kept(tmp_path, server, change, reason):
    server.body = change(server.body)
    message = _refused(tmp_path)
    assert reason in message
    assert "cannot download toys.zip" in message
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    _publish(monkeypatch, "https://unused.invalid/x")
    folder = tmp_path / "mirror" / "toy"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(PUBLISHED)
    return folder.parent


def test_a_mirror_is_copied_not_linked(tmp_path, mirror):
    _fetch(tmp_path / "raw", source="mirror", mirror=mirror)
    copy = tmp_path / "raw" / NAME
    assert copy.read_bytes() == PUBLISHED
    assert not copy.samefile(mirror / "toy" / NAME)


@pytest.mark.usefixtures("mirror")
def test_a_mirror_must_be_named(tmp_path):
    assert "data.mirror names no directory" in _refused(tmp_path / "raw", source="mirror")


@pytest.mark.usefixtures("mirror")
def test_a_missing_mirror_is_named(tmp_path):
    assert "elsewhere; check data.mirror" in _refused(tmp_path / "raw", source="mirror", mirror=tmp_path / "elsewhere")


def test_a_mirror_without_the_dataset_is_named(tmp_path, mirror):
    (mirror / "toy" / NAME).unlink()
    (mirror / "toy").rmdir()
    assert "mirror/toy; check data.mirror" in _refused(tmp_path / "raw", source="mirror", mirror=mirror)


def test_every_file_that_a_mirror_lacks_is_named(tmp_path, mirror, monkeypatch):
    files = tuple(RemoteFile(name, ("https://unused.invalid/x",), "0" * 64, 1) for name in ("a.gz", "b.gz"))
    monkeypatch.setattr(fetch_module, "open_dataset", lambda *_: SimpleNamespace(FILES=files))
    assert "lacks a.gz, b.gz" in _refused(tmp_path / "raw", source="mirror", mirror=mirror)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(PUBLISHED[:-9], "truncated"), (b"x" * 99, "corrupted"), (gzip.compress(b"y", mtime=0), "truncated")],
)
def test_a_wrong_file_in_the_mirror_is_named_and_not_copied(tmp_path, mirror, body, reason):
    (mirror / "toy" / NAME).write_bytes(body)
    message = _refused(tmp_path / "raw", source="mirror", mirror=mirror)
    assert reason in message
    assert f"mirror/toy/{NAME}" in message
    assert list((tmp_path / "raw").iterdir()) == []


def test_the_mirror_is_not_replaced_by_the_network(tmp_path, mirror, server, monkeypatch):
    _publish(monkeypatch, server.address)
    (mirror / "toy" / NAME).unlink()
    _refused(tmp_path / "raw", source="mirror", mirror=mirror)
    assert server.ranges == []


def test_embedded_data_are_not_fetched(tmp_path):
    with pytest.raises(DataError, match="nothing to fetch"):
        _fetch(tmp_path, source="embedded")


@pytest.mark.parametrize("name", ["../x.gz", "/etc/x.gz", "a/../../x.gz", "..", "a\\..\\x", ""])
def test_a_published_name_cannot_leave_its_folder(name):
    with pytest.raises(ValueError, match="not a path inside"):
        RemoteFile(name, (), "0" * 64, 1)
