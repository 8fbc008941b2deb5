"""Archives: what is kept of them, what is refused, and that nothing half is ever left."""

import errno
import gzip
import hashlib
import io
import shutil
import stat
import tarfile
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.artifacts import read_json
from compresslab.data import archive as archive_module
from compresslab.data import fetch as fetch_module
from compresslab.data.archive import archive_content, archive_problem, tree_sha256, unpack
from compresslab.data.dataset import RemoteArchive
from compresslab.data.download import Patience
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch

NOISE = np.random.default_rng(0)
KEPT = {"list.txt": b"a b\n", "group1/1/0.jpg": NOISE.bytes(50_000), "group1/1/1.jpg": NOISE.bytes(3), "empty.txt": b""}
ROOT = "boards-main/Data"
OTHERS = {
    "boards-main/README.md": b"read me",
    "boards-main/Data/group1/1/notes.doc": b"not wanted",
    "boards-main/Data/too/deep/by/one.jpg": b"not wanted",
    "boards-main/Database/list.txt": b"another folder",
}


def _published(kept=KEPT, **changes):
    listed = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in kept.items()}
    fields = {
        "name": "Data",
        "file": "boards.zip",
        "urls": ("https://unused.invalid/main.zip",),
        "root": "boards-*/Data",
        "wanted": ("*.txt", "*/*/*.jpg"),
        "sha256": tree_sha256(listed),
        "bytes": sum(map(len, kept.values())),
        "files": len(kept),
        "most_bytes": 1_000_000,
    }
    return RemoteArchive(**(fields | changes))


def _inside(kept=KEPT):
    return {f"{ROOT}/{name}": content for name, content in kept.items()} | OTHERS


def _zip(files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _tar(files, mode="w:gz", extra=()) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return packed.getvalue()


FORMATS = {
    "zip": _zip,
    "tar": lambda files: _tar(files, "w:"),
    "tar.gz": _tar,
    "tar.xz": lambda files: _tar(files, "w:xz"),
}


@pytest.fixture
def packed(tmp_path):
    def write(content: bytes):
        path = tmp_path / "packed"
        path.write_bytes(content)
        return path

    return write


def _read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _refused(path, tmp_path, published=None) -> str:
    """Check and unpack, expect both to refuse with one line and nothing to be left; return the line."""
    published = published or _published()
    target = tmp_path / "out" / "Data"
    with pytest.raises(DataError) as caught:
        unpack(path, published, target)
    problem = str(caught.value)
    assert problem == archive_problem(path, published)
    assert "\n" not in problem
    assert list(target.parent.iterdir()) == []
    return problem


@pytest.mark.parametrize("form", FORMATS)
def test_only_the_wanted_files_are_unpacked(tmp_path, packed, form, capfd):
    path = packed(FORMATS[form](_inside()))
    assert archive_problem(path, _published()) is None
    assert "unpacking" not in capfd.readouterr().err
    unpack(path, _published(), tmp_path / "Data")
    assert _read(tmp_path / "Data") == KEPT
    assert "unpacking Data" in capfd.readouterr().err


def test_a_folder_is_checked_and_copied_like_an_archive(tmp_path, packed):
    unpack(packed(_zip(_inside())), _published(), tmp_path / "Data")
    (tmp_path / "Data" / ".DS_Store").write_bytes(b"left by a file browser")
    assert archive_problem(tmp_path / "Data", _published()) is None
    unpack(tmp_path / "Data", _published(), tmp_path / "copy")
    assert _read(tmp_path / "copy") == KEPT


def test_others_can_read_the_folder(tmp_path, packed):
    unpack(packed(_zip(_inside())), _published(), tmp_path / "Data")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "Data").stat().st_mode == (tmp_path / "usual").stat().st_mode


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=9), min_size=1), st.randoms())
def test_the_hash_of_a_tree_is_of_names_and_contents_in_any_order(files, random):
    def tree(contents):
        return tree_sha256({n: (len(content), hashlib.sha256(content).hexdigest()) for n, content in contents})

    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert tree(shuffled) == tree(files.items())
    name, content = shuffled[0]
    assert tree([*shuffled[1:], (name, content + b"x")]) != tree(shuffled)
    assert tree([*shuffled[1:], (name + "d", content)]) != tree(shuffled)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_a_truncated_archive_is_refused(tmp_path, packed, form, share):
    content = FORMATS[form](_inside())
    problem = _refused(packed(content[: int(share * len(content))]), tmp_path)
    assert "truncated" in problem or "incomplete" in problem or "none of the published" in problem


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.xz"])
def test_a_corrupted_archive_is_refused(tmp_path, packed, form):
    content = bytearray(FORMATS[form](_inside()))
    content[len(content) // 2] ^= 0xFF
    problem = _refused(packed(content), tmp_path)
    assert "truncated, corrupted or not an archive" in problem or "does not hold the published files" in problem


@given(st.binary(max_size=600), st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0"]))
def test_any_bytes_are_refused_in_words(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + content)
    assert archive_problem(path, _published()) is not None


CHANGED = KEPT | {"group1/1/0.jpg": KEPT["group1/1/0.jpg"][::-1]}
LONGER = KEPT | {"list.txt": b"a b\nc d\n"}
MORE = KEPT | {"group1/1/2.jpg": b""}
LESS = {name: content for name, content in KEPT.items() if name != "list.txt"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (CHANGED, "does not hold the published files (50,007 of 50,007 bytes"),
        (LONGER, "holds more than the published 50,007 bytes"),
        (MORE, "holds more than the published 4 files"),
        (LESS, "is incomplete (3 of 4 files)"),
        ({}, "holds none of the published files of boards-*/Data"),
    ],
    ids=["changed", "longer", "more", "less", "another archive"],
)
def test_another_content_is_named(tmp_path, packed, form, kept, reason):
    assert reason in _refused(packed(FORMATS[form](_inside(kept))), tmp_path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", f"{ROOT}/../../evil.txt", f"{ROOT}/..\\evil.txt", f"{ROOT}/a/../list.txt"]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, packed, form, name):
    problem = _refused(packed(FORMATS[form]({name: b"evil"} | _inside())), tmp_path)
    assert "would leave the folder" in problem
    assert "evil" in problem or "list.txt" in problem


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_at_a_wanted_place_is_refused(tmp_path, packed, kind):
    member = tarfile.TarInfo(f"{ROOT}/passwd.txt")
    member.type, member.linkname = kind, "/etc/passwd"
    assert "is a link or a device" in _refused(packed(_tar(_inside(LESS), extra=[member])), tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path, packed):
    packed_files = io.BytesIO()
    with zipfile.ZipFile(packed_files, "w") as archive:
        member = zipfile.ZipInfo(f"{ROOT}/passwd.txt")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    assert "is a link or a device" in _refused(packed(packed_files.getvalue()), tmp_path)


def test_a_link_elsewhere_does_no_harm(tmp_path, packed):
    member = tarfile.TarInfo("boards-main/latest")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    unpack(packed(_tar(_inside(), extra=[member])), _published(), tmp_path / "Data")
    assert _read(tmp_path / "Data") == KEPT


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_occurs_twice_is_refused(tmp_path, packed):
    content = io.BytesIO(_zip(_inside()))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(f"{ROOT}/list.txt", b"c d\n")
    assert "holds list.txt twice" in _refused(packed(content.getvalue()), tmp_path)


def test_an_encrypted_member_is_refused(tmp_path, packed):
    content = bytearray(_zip({f"{ROOT}/list.txt": b"secret"}))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    assert "truncated, corrupted or not an archive" in _refused(packed(content), tmp_path)


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_bomb_at_a_wanted_place_is_not_unpacked(tmp_path, packed, form):
    bomb = FORMATS[form]({f"{ROOT}/list.txt": bytes(30_000_000)})
    assert len(bomb) < 100_000
    assert "holds more than the published" in _refused(packed(bomb), tmp_path, _published(most_bytes=100_000_000))


def test_a_bomb_at_another_place_is_not_read(tmp_path, packed):
    bomb = _tar({"boards-main/bomb": bytes(30_000_000)} | _inside())
    assert "holds more than 1,000,000 bytes" in _refused(packed(bomb), tmp_path)


def test_a_header_that_asks_for_much_memory_is_not_believed(tmp_path, packed):
    member = tarfile.TarInfo("header")
    member.type, member.size = tarfile.XHDTYPE, 1 << 40
    path = packed(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(30_000_000)))
    assert "holds more than 1,000,000 bytes" in _refused(path, tmp_path)


def test_members_without_end_are_not_counted_forever(tmp_path, packed, monkeypatch):
    monkeypatch.setattr(archive_module, "_MOST_MEMBERS", 5)
    path = packed(_tar({f"boards-main/{number}": b"" for number in range(50)}))
    assert "holds more than 20 members" in _refused(path, tmp_path)


@pytest.mark.parametrize("name", ["../Data", "/Data", "", "a\\b"])
@pytest.mark.parametrize("field", ["name", "file"])
def test_a_published_archive_stays_in_its_folder(field, name):
    with pytest.raises(ValueError, match="not a path inside"):
        _published(**{field: name})


def test_what_a_killed_unpacking_left_is_removed(tmp_path, packed):
    (tmp_path / ".Data-killed" / "group1").mkdir(parents=True)
    unpack(packed(_zip(_inside())), _published(), tmp_path / "Data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Data", "packed"]


def test_an_unpacking_at_work_is_left_alone(tmp_path, packed):
    path = packed(_zip(_inside()))
    with archive_module._folder_written_whole(tmp_path / "Data") as busy:
        unpack(path, _published(), tmp_path / "Data")
        assert busy.is_dir()
        shutil.rmtree(tmp_path / "Data")


# Fetching: from a mirror and, with the network replaced by a file, from upstream.


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """Return a function that fetches the toy dataset into tmp_path/raw."""
    monkeypatch.setattr(fetch_module, "open_dataset", lambda *_: SimpleNamespace(FILES=(_published(),)))
    (tmp_path / "mirror" / "toy").mkdir(parents=True)

    def run(source="mirror"):
        return fetch("toy", source, tmp_path / "raw", tmp_path / "mirror", Patience(attempts=1))

    return run


@pytest.fixture
def upstream(monkeypatch):
    """Replace the network: ``download`` counts its calls and puts ``content`` down."""
    network = SimpleNamespace(content=_zip(_inside()), calls=0)

    def download(remote, destination, _patience):
        network.calls += 1
        destination.mkdir(parents=True, exist_ok=True)
        (destination / remote.download_name).write_bytes(network.content)

    monkeypatch.setattr(fetch_module, "download", download)
    return network


def _mirror_refuses(fetched, tmp_path) -> str:
    with pytest.raises(DataError) as caught:
        fetched()
    assert "\n" not in str(caught.value)
    raw = tmp_path / "raw"
    assert not raw.exists() or list(raw.iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_mirror_holds_the_folder_or_the_archive(tmp_path, fetched, packed, form):
    if form == "archive":
        (tmp_path / "mirror" / "toy" / "boards.zip").write_bytes(_zip(_inside()))
    else:
        unpack(packed(_zip(_inside())), _published(), tmp_path / "mirror" / "toy" / "Data")
    (described,) = fetched()
    assert _read(tmp_path / "raw" / "Data") == KEPT
    assert (described.name, described.bytes, described.sha256) == ("Data", 50_007, _published().sha256)
    assert read_json(tmp_path / "raw" / "fetched.json")["files"] == [described.model_dump()]


def test_a_mirror_without_either_is_told_both_names(tmp_path, fetched):
    assert "lacks Data/ or boards.zip" in _mirror_refuses(fetched, tmp_path)


def test_a_wrong_archive_in_the_mirror_is_named(tmp_path, fetched):
    (tmp_path / "mirror" / "toy" / "boards.zip").write_bytes(_zip(_inside(LESS)))
    message = _mirror_refuses(fetched, tmp_path)
    assert "mirror/toy/boards.zip is incomplete (3 of 4 files); replace it" in message


def test_a_file_that_a_mirrors_folder_lacks_is_noticed(tmp_path, fetched, packed):
    folder = tmp_path / "mirror" / "toy" / "Data"
    unpack(packed(_zip(_inside())), _published(), folder)
    (folder / "list.txt").unlink()
    assert "mirror/toy/Data is incomplete (3 of 4 files)" in _mirror_refuses(fetched, tmp_path)


def test_a_full_disk_leaves_no_half_folder(tmp_path, fetched, monkeypatch):
    (tmp_path / "mirror" / "toy" / "boards.zip").write_bytes(_zip(_inside()))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive_module, "_take_file", full)
    assert "the disk is full" in _mirror_refuses(fetched, tmp_path)


def test_a_good_folder_is_not_fetched_again(tmp_path, fetched, upstream):
    fetched("upstream")
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == ["Data", "fetched.json"]
    fetched("upstream")
    assert upstream.calls == 1


def test_a_damaged_folder_is_fetched_again(tmp_path, fetched, upstream):
    fetched("upstream")
    (tmp_path / "raw" / "Data" / "list.txt").write_bytes(b"x")
    fetched("upstream")
    assert upstream.calls == 2
    assert _read(tmp_path / "raw" / "Data") == KEPT


def test_a_received_archive_is_not_received_again(tmp_path, fetched, upstream):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "boards.zip").write_bytes(upstream.content)
    fetched("upstream")
    assert upstream.calls == 0
    assert _read(tmp_path / "raw" / "Data") == KEPT


# Archives some of whose files have no published checksum.


def _half_published(**changes):
    """The texts of the toy archive are published; of its images only the number is known, and the most they take."""
    texts = {name: content for name, content in KEPT.items() if name.endswith(".txt")}
    half = {"unhashed": ("*/*/*.jpg",), "sha256": _published(texts).sha256, "bytes": 60_000}
    return _published(**(half | changes))


@pytest.mark.parametrize("form", FORMATS)
def test_files_without_a_checksum_may_hold_anything(tmp_path, packed, form):
    others = KEPT | {"group1/1/1.jpg": b"another picture"}
    for number, kept in enumerate((KEPT, others)):
        path = packed(FORMATS[form](_inside(kept)))
        unpack(path, _half_published(), tmp_path / f"{number}")
        assert _read(tmp_path / f"{number}") == kept
        listed = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in kept.items()}
        assert archive_content(path, _half_published()) == (sum(map(len, kept.values())), tree_sha256(listed))


def test_the_others_are_still_the_published_ones(tmp_path, packed):
    changed = packed(_zip(_inside(KEPT | {"list.txt": b"a c\n"})))
    assert _refused(changed, tmp_path, _half_published()).startswith(
        "does not hold the published files (4 bytes, sha256 of their list"
    )
    with pytest.raises(DataError, match="does not hold the published files"):
        archive_content(changed, _half_published())


def test_files_without_a_checksum_are_counted_and_bounded(tmp_path, packed):
    without = {name: content for name, content in KEPT.items() if name != "group1/1/1.jpg"}
    assert _refused(packed(_zip(_inside(without))), tmp_path, _half_published()) == "is incomplete (3 of 4 files)"
    more = KEPT | {"group1/1/2.jpg": b"x"}
    assert "more than the published 4 files" in _refused(packed(_zip(_inside(more))), tmp_path, _half_published())
    bomb = packed(_zip(_inside(KEPT | {"group1/1/1.jpg": bytes(50_000)})))
    assert _refused(bomb, tmp_path, _half_published()) == "holds more than the 60,000 bytes"


def test_an_archive_may_have_no_checksum_at_all(packed):
    archive = _half_published(sha256=None, unhashed=("*.txt", "*/*/*.jpg"))
    assert archive_problem(packed(_zip(_inside(KEPT | {"list.txt": b"?"}))), archive) is None
    with pytest.raises(ValueError, match="without a hash, every wanted file is an unhashed one"):
        _half_published(sha256=None)


def test_what_was_found_is_what_the_receipt_says(tmp_path, fetched, monkeypatch):
    monkeypatch.setattr(fetch_module, "open_dataset", lambda *_: SimpleNamespace(FILES=(_half_published(),)))
    packed = tmp_path / "mirror" / "toy" / "boards.zip"
    packed.write_bytes(_zip(_inside()))
    (file,) = fetched()
    assert (file.bytes, file.sha256) == (_published().bytes, _published().sha256)
    assert read_json(tmp_path / "raw" / "fetched.json")["files"][0]["sha256"] == file.sha256
    # What is there already is kept, whatever the mirror holds by now.
    packed.write_bytes(_zip(_inside(KEPT | {"group1/1/1.jpg": b"another picture"})))
    assert fetched() == [file]
    shutil.rmtree(tmp_path / "raw")
    assert fetched() != [file]
