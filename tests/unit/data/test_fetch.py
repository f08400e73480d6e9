"""Fetching: mirror, download from a real server on this machine, hashes, and zips that mean harm."""

import hashlib
import http.server
import json
import os
import shutil
import struct
import threading
import zipfile
from functools import partial

import pytest

from covidseg.base.errors import UserError
from covidseg.data import download
from covidseg.data import fetch as fetching
from covidseg.data import unpack as unpacking
from covidseg.data.fetch import fetch, read_manifest, tree_sha256
from covidseg.data.unpack import unpack
from tests.unit.data.small import WORKFLOW, dataset, own


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(tmp_path):
    """Serve tmp_path/www on this machine."""
    (tmp_path / "www").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www")) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_mirror_comes_first_and_a_second_run_takes_what_is_there(tmp_path):
    (tmp_path / "mirror" / "mine").mkdir(parents=True)
    (tmp_path / "mirror" / "mine" / "a.bin").write_bytes(b"scan")
    data = own(sources=[{"name": "a.bin", "urls": ["http://127.0.0.1:9/none"], "sha256": sha256(b"scan")}])
    said: list[str] = []
    got = fetch("mine", data, tmp_path / "raw", tmp_path / "mirror", tmp_path, said.append)
    assert got["files"] == {"a.bin": {"bytes": 4, "from": "mirror", "sha256": sha256(b"scan")}}
    assert got["tree"] == {"a.bin": sha256(b"scan")}
    assert said == ["a.bin from the mirror"]
    assert json.loads((tmp_path / "raw" / "fetched.json").read_text()) == got
    again = fetch("mine", data, tmp_path / "raw", None, tmp_path)
    assert again == got


def test_an_optional_source_is_left_out_where_it_cannot_be_had(tmp_path):
    (tmp_path / "list.csv").write_text("file,sha256\na.png,\nb.png,\n")  # hashes that nobody knows
    (tmp_path / "mirror" / "mine" / "two").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (tmp_path / "mirror" / "mine" / "two" / name).write_bytes(b"map")
    sources = [{"name": name, "manifest": "list.csv", "optional": True} for name in ("one", "two")]
    said: list[str] = []
    got = fetch("mine", own(sources=sources), tmp_path / "raw", tmp_path / "mirror", tmp_path, said.append)
    assert sorted(got["files"]) == ["two/a.png", "two/b.png"]
    assert said[0].startswith("one left out: one: no address to download it from")
    wrong = [{"name": "a.png", "optional": True, "sha256": "0" * 64}]
    with pytest.raises(UserError, match="expected 000000000000"):  # a wrong file is no absent one
        fetch("two", own(sources=wrong), tmp_path / "raw", tmp_path / "mirror" / "mine", tmp_path)


def test_download_with_a_zip(tmp_path, server):
    with zipfile.ZipFile(tmp_path / "www" / "scans.zip", "w") as archive:
        archive.writestr("a/b.txt", "voxels")
    digest = hashlib.md5((tmp_path / "www" / "scans.zip").read_bytes()).hexdigest()
    source = {"name": "scans.zip", "urls": [f"{server}/gone.zip", f"{server}/scans.zip"], "md5": digest, "unpack": True}
    got = fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path)
    assert (tmp_path / "raw" / "scans" / "a" / "b.txt").read_text() == "voxels"
    assert got["files"]["scans.zip"]["from"] == f"{server}/scans.zip"


def test_what_follows_the_question_mark_is_not_repeated(tmp_path, server):
    (tmp_path / "www" / "a.bin").write_bytes(b"scan")
    source = {"name": "a.bin", "urls": [f"{server}/gone?token=secret", f"{server}/a.bin?token=secret"]}
    said: list[str] = []
    got = fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path, said.append)
    assert got["files"]["a.bin"]["from"] == f"{server}/a.bin"
    with pytest.raises(UserError, match="cannot be downloaded") as e:
        fetch("mine", own(sources=[{**source, "name": "b", "urls": source["urls"][:1]}]), tmp_path, None, tmp_path)
    assert "secret" not in json.dumps([said, got, str(e.value)])


def test_a_manifest_names_the_files_of_a_folder(tmp_path, server):
    (tmp_path / "www" / "Set").mkdir()
    names = ("0.jpg", "a b#1.jpg")
    for name in names:
        (tmp_path / "www" / "Set" / name).write_bytes(name.encode())
    lines = ["file,sha256", *(f"{name},{sha256(name.encode())}" for name in names)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    data = own(sources=[{"name": "Set", "urls": [f"{server}/Set/"], "manifest": "m.csv"}])
    fetch("mine", data, tmp_path / "raw", None, tmp_path)
    assert files_below(tmp_path / "raw") == [".fetched.json", "Set/0.jpg", "Set/a b#1.jpg", "fetched.json"]


@pytest.mark.parametrize("content", [b"sca", b"scam"])
def test_truncated_or_wrong_files_are_refused_and_leave_nothing(content, tmp_path, server):
    (tmp_path / "www" / "a.bin").write_bytes(content)
    source = {"name": "a.bin", "urls": [f"{server}/a.bin"], "sha256": sha256(b"scan")}
    with pytest.raises(UserError, match=r"truncated or another version, fetch it again") as e:
        fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path)
    assert "\n" not in str(e.value)
    assert files_below(tmp_path / "raw") == []
    (tmp_path / "m" / "mine").mkdir(parents=True)
    (tmp_path / "m" / "mine" / "a.bin").write_bytes(content)
    with pytest.raises(UserError, match="expected"):
        fetch("mine", own(sources=[source]), tmp_path / "raw", tmp_path / "m", tmp_path)
    assert files_below(tmp_path / "raw") == []


class Breaking(http.server.BaseHTTPRequestHandler):
    """Sends 40 bytes of 100 and closes the connection, unless a part is asked for."""

    content = bytes(range(100))

    def do_GET(self):
        part = self.headers["Range"]
        self.server.asked.append(part)
        at = int(part.removeprefix("bytes=").removesuffix("-")) if part else 0
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(100 - at))
        self.end_headers()
        self.wfile.write(self.content[at : at + 40])

    def log_message(self, *arguments):
        pass


class Elsewhere(Breaking):
    """Sends 40 bytes of 100, then from the start what is asked from the middle, then all of another version."""

    def do_GET(self):
        self.server.asked.append(self.headers["Range"])
        times = len(self.server.asked)
        self.send_response(206 if times == 2 else 200)
        self.send_header("Content-Range", "bytes 0-99/100")
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(self.content[:40] if times == 1 else self.content if times == 2 else b"x" * 100)


class Mute(Breaking):
    """Does not speak HTTP."""

    def do_GET(self):
        self.wfile.write(b"220 ready\r\n")


class Cut(Breaking):
    """Breaks off in a chunk of its answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"64\r\nabc")


def fetch_from(kind, tmp_path, **facts):
    """Fetch a.bin from a server of this kind; return the ranges it was asked for."""
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as running:
        running.asked = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}/a.bin"
        try:
            fetch("mine", own(sources=[{"name": "a.bin", "urls": [url], **facts}]), tmp_path / "raw", None, tmp_path)
        finally:
            running.shutdown()
            thread.join()
    return running.asked


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path):
    asked = fetch_from(Breaking, tmp_path, sha256=sha256(Breaking.content))
    assert asked == [None, "bytes=40-", "bytes=80-"]
    assert files_below(tmp_path / "raw") == [".fetched.json", "a.bin", "fetched.json"]


def test_pieces_that_do_not_fit_never_become_a_file(tmp_path):
    assert fetch_from(Elsewhere, tmp_path, sha256=sha256(b"x" * 100)) == [None, "bytes=40-", None]
    assert (tmp_path / "raw" / "a.bin").read_bytes() == b"x" * 100
    with pytest.raises(UserError, match="the connection broke 60 bytes before the end"):  # no hash would find them
        fetch_from(Breaking, tmp_path / "unknown")


@pytest.mark.parametrize(("kind", "message"), [(Mute, "220 ready"), (Cut, "IncompleteRead")])
def test_an_answer_that_is_none_is_one_line(kind, message, tmp_path):
    with pytest.raises(UserError, match=rf"a.bin: cannot be downloaded \(.*{message}"):
        fetch_from(kind, tmp_path)


@pytest.mark.parametrize(("record", "message"), [
    ('{"files": [{"name": "a.bin"}]}', "the record is not as expected"), ("[]", "the record is not as expected"),
    ('{"files": [{"name": "a.bin", "computed_md5": "0", "download_url": "file:///etc/passwd"}]}', "is no download"),
])  # fmt: skip
def test_a_strange_record_is_one_line(record, message, tmp_path, server, monkeypatch):
    (tmp_path / "www" / "7").write_text(record)
    monkeypatch.setattr(fetching, "FIGSHARE", f"{server}/")
    data = own(sources=[{"name": "a.bin", "urls": ["figshare:7"]}])
    with pytest.raises(UserError, match=message):
        fetch("mine", data, tmp_path / "raw", None, tmp_path)


def test_figshares_record_gives_address_and_hash(tmp_path, server, monkeypatch):
    (tmp_path / "www" / "8").write_bytes(b"scan")
    entry = {"name": "a.bin", "computed_md5": hashlib.md5(b"scan").hexdigest(), "download_url": f"{server}/8"}
    (tmp_path / "www" / "7").write_text(json.dumps({"files": [{**entry, "name": "other"}, entry]}))
    monkeypatch.setattr(fetching, "FIGSHARE", f"{server}/")
    said: list[str] = []
    data = own(sources=[{"name": "a.bin", "urls": ["figshare:7"]}])
    got = fetch("mine", data, tmp_path / "raw", None, tmp_path, said.append)
    assert (tmp_path / "raw" / "a.bin").read_bytes() == b"scan"
    assert got["files"] == {"a.bin": {"bytes": 4, "from": f"{server}/8", "sha256": sha256(b"scan")}}
    assert said == [f"a.bin from {server}/8"]
    (tmp_path / "www" / "8").write_bytes(b"scam")
    with pytest.raises(UserError, match=r"md5 is [0-9a-f]{12}\.\.\., expected [0-9a-f]{12}\.\.\. \(4 bytes\)"):
        fetch("mine", data, tmp_path / "again", None, tmp_path)
    with pytest.raises(UserError, match=r"the record has no b\.bin, it has a\.bin, other"):
        fetch("mine", own(sources=[{"name": "b.bin", "urls": ["figshare:7"]}]), tmp_path / "b", None, tmp_path)


def test_no_way_to_get_it(tmp_path, server):
    source = {"name": "a.bin", "urls": [f"{server}/a.bin"]}
    with pytest.raises(
        UserError, match=r"a.bin: cannot be downloaded .*404.* try again or set mirror: .* as mine/a.bin"
    ):
        fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path)
    with pytest.raises(UserError, match=r"no address .*; set mirror: to a folder that holds it as zenodo20-slices/ct"):
        fetch("zenodo20-slices", dataset("zenodo20-slices"), tmp_path / "raw", None, tmp_path)


def test_a_folder_of_the_mirror_is_known_by_its_tree(tmp_path):
    (tmp_path / "m" / "mine" / "ct").mkdir(parents=True)
    (tmp_path / "m" / "mine" / "ct" / "0.png").write_bytes(b"x")
    tree = tree_sha256(tmp_path / "m" / "mine" / "ct")
    assert tree == sha256(f"{sha256(b'x')}  0.png\n".encode())
    fetch("mine", own(sources=[{"name": "ct", "sha256": tree}]), tmp_path / "raw", tmp_path / "m", tmp_path)
    assert files_below(tmp_path / "raw") == [".fetched.json", "ct/0.png", "fetched.json"]
    with pytest.raises(UserError, match="not what the data set names"):
        fetch("mine", own(sources=[{"name": "ct", "sha256": "0" * 64}]), tmp_path / "other", tmp_path / "m", tmp_path)
    assert files_below(tmp_path / "other") == []


@pytest.mark.parametrize("harm", ["edited", "one more", "one less"])
def test_a_folder_that_is_not_as_it_came_is_brought_again(harm, tmp_path):
    """Of the mirror and of a zip alike: what was changed is set aside, and what was fetched is there again."""
    (tmp_path / "m" / "mine" / "ct").mkdir(parents=True)
    for name in ("0.png", "1.png"):
        (tmp_path / "m" / "mine" / "ct" / name).write_bytes(name.encode())
    with zipfile.ZipFile(tmp_path / "m" / "mine" / "s.zip", "w") as archive:
        archive.writestr("0.png", "0.png")
        archive.writestr("1.png", "1.png")
    tree = tree_sha256(tmp_path / "m" / "mine" / "ct")
    data = own(sources=[{"name": "ct", "sha256": tree}, {"name": "s.zip", "unpack": True}])
    whole = fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path)
    said: list[str] = []
    assert fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path, said.append)["tree"] == whole["tree"]
    assert "ct from the mirror" not in said  # it is there, and right
    for folder in (tmp_path / "raw" / "ct", tmp_path / "raw" / "s"):
        if harm == "one less":
            (folder / "0.png").unlink()
        else:
            (folder / ("0.png" if harm == "edited" else "2.png")).write_bytes(b"harm")
    got = fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path)
    for folder in ("ct", "s"):
        assert files_below(tmp_path / "raw" / folder) == ["0.png", "1.png"]
        assert (tmp_path / "raw" / folder / "0.png").read_bytes() == b"0.png"
    kept = {} if harm == "one less" else {name: value for name, value in got["tree"].items() if ".kept-1/" in name}
    assert got["tree"] == whole["tree"] | kept
    assert len(kept) == {"edited": 4, "one more": 6, "one less": 0}[harm]


def evil(path, name, mode=0, content="x"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fine.txt", "fine")
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return path


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("../out.txt", 0, "outside its folder"),
        ("a/../../out.txt", 0, "outside its folder"),
        ("/elsewhere/out.txt", 0, "outside its folder"),
        ("..\\out.txt", 0, "outside its folder"),
        ("C:/out.txt", 0, "outside its folder"),
        ("link", 0o120777, "is a link"),
    ],
)
def test_zips_that_reach_out_are_refused(name, mode, message, tmp_path):
    with pytest.raises(UserError, match=message):
        unpack(evil(tmp_path / "z.zip", name, mode), tmp_path / "in" / "z")
    assert files_below(tmp_path) == ["z.zip"]


def test_bombs_and_broken_zips(tmp_path):
    with pytest.raises(UserError, match="zip bomb"):
        unpack(evil(tmp_path / "z.zip", "zeros", content=b"\0" * ((64 << 20) + 1)), tmp_path / "z")
    whole = evil(tmp_path / "y.zip", "a", content=os.urandom(5000))
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(UserError, match="not a whole zip file"):
        unpack(whole, tmp_path / "y")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", "a file")
        archive.writestr("a/b", "and a folder")
    with pytest.raises(UserError, match=r"x.zip: not a whole zip file \((NotADirectory|FileExists)Error"):
        unpack(tmp_path / "x.zip", tmp_path / "x")
    assert files_below(tmp_path) == ["x.zip", "y.zip", "z.zip"]


def test_a_zip_may_hold_so_many_files_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_FILES", 2)
    unpack(evil(tmp_path / "z.zip", "a"), tmp_path / "z")
    assert files_below(tmp_path / "z") == ["a", "fine.txt"]
    with zipfile.ZipFile(tmp_path / "z.zip", "a") as archive:
        archive.writestr("b", "one more")
    with pytest.raises(UserError, match=r"3 entries of .* a zip bomb"):
        unpack(tmp_path / "z.zip", tmp_path / "z")


def test_an_entry_that_would_begin_in_the_last_bytes_is_cut_off(tmp_path):
    """A damaged directory: the first entry's size reaches to 20 bytes before the end, where the second would begin."""
    path = evil(tmp_path / "z.zip", "a")
    whole = bytearray(path.read_bytes())
    at = len(whole) - 20
    first, second = (whole.rfind(b"PK\x01\x02", 0, end) for end in (whole.rfind(b"PK\x01\x02"), len(whole)))
    header = 30 + len("fine.txt")
    whole[first + 20 : first + 24] = struct.pack("<I", at - header)  # compressed size
    whole[second + 42 : second + 46] = struct.pack("<I", at)  # where its header is
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"z\.zip: not a whole zip file \(it is cut off\); delete it and fetch again"):
        unpack(path, tmp_path / "z")


def test_an_address_that_begins_with_https_is_asked_so(tmp_path, server):
    """A server that speaks http only answers a greeting of TLS with no such."""
    source = {"name": "a.bin", "urls": [server.replace("http:", "https:") + "/a.bin"], "sha256": sha256(b"scan")}
    with pytest.raises(UserError, match=r"a\.bin.*SSL") as e:
        fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("end", [b"/", b"\0"])
def test_a_file_that_is_called_a_folder_is_refused(end, tmp_path):
    """zipfile makes an empty folder of it, without a look at its data, and takes a name to end at a zero byte."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a/b", "scan")
    whole = bytearray((tmp_path / "z.zip").read_bytes())
    at = whole.index(b"PK\1\2") + 46
    whole[at + 2 : at + 3] = end
    (tmp_path / "z.zip").write_bytes(whole)
    with pytest.raises(UserError, match=r"not a whole zip file \(entry"):
        unpack(tmp_path / "z.zip", tmp_path / "z")
    assert files_below(tmp_path) == ["z.zip"]


def test_an_archive_whose_directory_has_lost_entries_is_refused(tmp_path):
    """Its directory has 46 bytes and the name of each entry; the length of a comment is the 33rd and 34th of them."""
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in ("a", "b", "c"):
            archive.writestr(name, "scan")
    whole = bytearray((tmp_path / "z.zip").read_bytes())
    unpack(tmp_path / "z.zip", tmp_path / "z")
    assert files_below(tmp_path / "z") == ["a", "b", "c"]
    at = whole.index(b"PK\1\2")
    for first, said in ((0, "35 bytes before 'c' belong to no entry"), (1, "35 bytes after its last entry")):
        damaged = whole.copy()
        damaged[at + first * 47 + 32] = 47  # the next entry is taken for a comment
        (tmp_path / "z.zip").write_bytes(damaged)
        with zipfile.ZipFile(tmp_path / "z.zip") as archive:
            assert len(archive.namelist()) == 2  # as zipfile reads it, without a word
        with pytest.raises(UserError, match=rf"not a whole zip file \({said}"):
            unpack(tmp_path / "z.zip", tmp_path / "z")
    assert files_below(tmp_path / "z") == ["a", "b", "c"]


@pytest.mark.parametrize("file", ["../a", "/a", "", "a/../../b", "a//b", "a\x1bb"])
def test_manifests_stay_inside(file, tmp_path):
    (tmp_path / "m.csv").write_text(f"file,sha256\n{file},0\n")
    with pytest.raises(UserError, match="is no file in the data set's folder"):
        read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize("text", ["", "a.png,0\n", "file,sha256\n"])
def test_a_manifest_names_files(text, tmp_path):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match="expected the columns file,sha256 and a line for each file"):
        read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(("lines", "message"), [
    ("a.png,0\nb.png,1\na.png,2", "'a.png' is listed twice"), ("a.png", "1 fields for 2 columns"),
    ("a.png,0,1", "3 fields for 2 columns"), ('"a.png,0', "unexpected end of data"),
])  # fmt: skip
def test_a_manifest_is_read_to_the_letter(lines, message, tmp_path):
    (tmp_path / "m.csv").write_text(f"file,sha256\n{lines}\n")
    with pytest.raises(UserError, match=message):
        read_manifest(tmp_path / "m.csv")


def test_the_real_labelled_slices_are_those_of_the_manifest(shared_data):
    manifest = read_manifest(WORKFLOW / "datasets" / "covid-semiseg-test.csv")
    assert len(manifest) == 96
    for file, expected in manifest.items():
        assert sha256((shared_data / "covid-semiseg" / "TestingSet" / file).read_bytes()) == expected


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every request by the function that the test gives."""

    def do_GET(self):
        self.server.answer(self)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def answering():
    """Return a function: how to answer -> address of a server that does so."""
    running = []

    def serve(answer):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.answer, server.daemon_threads = answer, True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def sends(body=b"", status=200, **headers):
    def answer(handler):
        handler.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            if value:
                handler.send_header(key.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(("name", "answer", "message"), [
    ("a.bin", sends(b""), "the answer is empty"),
    ("a.bin", sends(b"", 204), "answer 204 without a file"),
    ("a.bin", sends(b"<html>log in", Content_Type="text/html; charset=utf-8"), "an HTML page came, no file"),
    ("a.bin", sends(b"\x1f\x8b", Content_Encoding="gzip"), "sent with the encoding gzip"),
    ("a.bin", sends(b"half of it", Content_Length=""), "announces no length"),
    ("a.zip", sends(b"{'error': 'none'}"), "what came is no .zip file"),
    ("a.bin", sends(b"", 302, Location="http://127.0.0.2/a.bin"), "redirected to the private address 127.0.0.2"),
    ("a.bin", sends(b"", 302, Location="file:///etc/passwd"), "Redirection to url 'file:///etc/passwd' is not allowed"),
    ("a.bin", sends(b"x", Content_Length=str(1 << 60)), "1152921504606846976 bytes are announced"),
])  # fmt: skip
def test_what_cannot_be_the_file_is_refused_without_a_hash(name, answer, message, tmp_path, answering):
    data = own(sources=[{"name": name, "urls": [f"{answering(answer)}/{name}"]}])
    with pytest.raises(UserError, match=message) as e:
        fetch("mine", data, tmp_path / "raw", None, tmp_path)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "raw" / "fetched.json").exists()
    assert not (tmp_path / "raw" / name).exists()


def drips(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    pause = threading.Event()
    try:
        while not pause.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()
    except OSError:
        pass


def drips_heads(handler):
    pause = threading.Event()
    try:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        while not pause.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()
    except OSError:
        pass


def endless(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
    except OSError:
        pass


@pytest.mark.parametrize(("answer", "message"), [
    (drips, "too slow to go on"), (drips_heads, "no answer within 0.3 s"), (endless, "more than 1000000 bytes came"),
])  # fmt: skip
@pytest.mark.parametrize("known", [False, True])
def test_a_download_ends(known, answer, message, tmp_path, answering, monkeypatch):
    from covidseg.data import download

    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setattr(download, "MOST", 1_000_000)
    source = {"name": "a.bin", "urls": [f"{answering(answer)}/a.bin"]} | ({"sha256": "0" * 64} if known else {})
    with pytest.raises(UserError, match=message):
        fetch("mine", own(sources=[source]), tmp_path / "raw", None, tmp_path)


def test_the_hash_of_the_first_use_holds(tmp_path, answering):
    body = [b"one"]
    address = answering(lambda handler: sends(body[0])(handler))
    data, said = own(sources=[{"name": "a.bin", "urls": [f"{address}/a.bin"]}]), []
    first = fetch("mine", data, tmp_path / "raw", None, tmp_path, said.append)
    assert first["files"]["a.bin"]["trusted"] == "first use"
    assert said[-1] == f"a.bin: no hash is known; sha256 {sha256(b'one')[:12]}... is recorded and holds from now on"
    body[0] = b"two"
    assert fetch("mine", data, tmp_path / "raw", None, tmp_path) == first  # it is there, and right
    (tmp_path / "raw" / "a.bin").write_bytes(b"edited")
    with pytest.raises(UserError, match=r"not as at its first use; delete .*fetched.json"):
        fetch("mine", data, tmp_path / "raw", None, tmp_path)
    (tmp_path / "raw" / "fetched.json").unlink()  # as Snakemake does before a fetch: the copy of the record holds
    with pytest.raises(UserError, match=r"not as at its first use; delete .*fetched.json and .fetched.json beside it"):
        fetch("mine", data, tmp_path / "raw", None, tmp_path)
    (tmp_path / "raw" / ".fetched.json").unlink()
    assert fetch("mine", data, tmp_path / "raw", None, tmp_path)["files"]["a.bin"]["sha256"] == sha256(b"two")


def test_an_optional_source_stays_where_the_server_is_away_for_a_while(tmp_path, answering):
    (tmp_path / "list.csv").write_text(f"file,sha256\na.png,{sha256(b'a')}\nb.png,{sha256(b'b')}\n")
    for name in ("a", "b"):
        (tmp_path / "m" / "mine" / "maps").mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / "mine" / "maps" / f"{name}.png").write_bytes(name.encode())
    away = {"urls": [f"{answering(sends(b'', 503))}/maps/"], "manifest": "list.csv", "optional": True}
    data = own(sources=[{"name": "maps", **away}])
    fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path)
    note = tmp_path / "raw" / "maps" / "note.txt"
    note.write_text("seen by a reader")
    (tmp_path / "raw" / "maps" / "a.png").unlink()
    got = fetch("mine", data, tmp_path / "raw", None, tmp_path)
    assert files_below(tmp_path / "raw") == [".fetched.json", "fetched.json", "maps/b.png", "maps/note.txt"]
    assert list(got["left_out"]) == ["maps"]
    assert "503" in got["left_out"]["maps"]


def test_a_mirror_is_copied_and_no_link_is_written_through(tmp_path, server):
    origin = tmp_path / "m" / "mine" / "a.bin"
    (tmp_path / "m" / "mine" / "ct").mkdir(parents=True)
    origin.write_bytes(b"scan")
    (origin.parent / "ct" / "0.png").write_bytes(b"slice")
    tree = tree_sha256(origin.parent / "ct")
    data = own(sources=[{"name": "a.bin", "sha256": sha256(b"scan")}, {"name": "ct", "sha256": tree}])
    fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path)
    for path in ("a.bin", "ct/0.png"):
        with open(tmp_path / "raw" / path, "r+b") as f:
            f.write(b"edit")
    assert (origin.read_bytes(), (origin.parent / "ct" / "0.png").read_bytes()) == (b"scan", b"slice")

    (tmp_path / "www" / "b.bin").write_bytes(b"new")
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "raw" / ".b.bin.part").symlink_to(tmp_path / "precious")
    data = own(sources=[{"name": "b.bin", "urls": [f"{server}/b.bin"], "sha256": sha256(b"new")}])
    fetch("mine", data, tmp_path / "raw", None, tmp_path)
    assert (tmp_path / "precious").read_bytes() == b"mine"
    (tmp_path / "raw" / "set").symlink_to(tmp_path)
    data = own(sources=[{"name": "set/b.bin", "urls": [f"{server}/b.bin"]}])
    with pytest.raises(UserError, match="raw/set: is a link; remove it"):
        fetch("mine", data, tmp_path / "raw", None, tmp_path)


def test_pipes_in_a_mirror_are_not_waited_for(tmp_path):
    (tmp_path / "m" / "mine" / "ct").mkdir(parents=True)
    os.mkfifo(tmp_path / "m" / "mine" / "ct" / "0.png")
    with pytest.raises(UserError, match=r"ct/0\.png: no regular file"):
        fetch("mine", own(sources=[{"name": "ct"}]), tmp_path / "raw", tmp_path / "m", tmp_path)


def test_strangers_files_in_an_unpacked_folder_are_set_aside(tmp_path):
    (tmp_path / "m" / "mine").mkdir(parents=True)
    data = own(sources=[{"name": "s.zip", "unpack": True}])
    for round_ in ("one", "two"):
        with zipfile.ZipFile(tmp_path / "m" / "mine" / "s.zip", "w") as archive:
            archive.writestr("a.txt", round_)
        got = fetch("mine", data, tmp_path / "raw", tmp_path / "m", tmp_path)
        for record in ("fetched.json", ".fetched.json"):
            (tmp_path / "raw" / record).unlink()
        (tmp_path / "raw" / "s" / "corrected.txt").write_text("by hand")
    assert set(got["tree"]) == {"s.kept-1/a.txt", "s.kept-1/corrected.txt", "s/a.txt", "s.zip", "s.zip.unpacked"}
    assert (tmp_path / "raw" / "s" / "a.txt").read_text() == "two"


def test_a_file_that_would_fill_the_disk_is_not_begun(tmp_path, server, monkeypatch):
    """Of 1,100 bytes that are free beside those kept free, 1,100 may come and 1,101 may not."""
    usage = shutil.disk_usage(tmp_path)._replace(free=download.SPARE + 1100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    for size in (1100, 1101):
        (tmp_path / "www" / f"{size}.bin").write_bytes(b"x" * size)
    data = own(sources=[{"name": "a.bin", "urls": [f"{server}/1100.bin"]}])
    assert fetch("mine", data, tmp_path / "raw", None, tmp_path)["files"]["a.bin"]["bytes"] == 1100
    data = own(sources=[{"name": "b.bin", "urls": [f"{server}/1101.bin"]}])
    with pytest.raises(UserError, match="1101 bytes are announced, 1100 may come"):
        fetch("mine", data, tmp_path / "raw", None, tmp_path)


def test_a_second_fetch_writes_no_file_again(tmp_path):
    mirror = tmp_path / "mirror" / "mine"
    mirror.mkdir(parents=True)
    with zipfile.ZipFile(mirror / "s.zip", "w") as archive:
        archive.writestr("a.txt", "voxels")
    data = own(sources=[{"name": "s.zip", "unpack": True, "sha256": sha256((mirror / "s.zip").read_bytes())}])
    seen = []
    for _ in range(2):
        fetch("mine", data, tmp_path / "raw", tmp_path / "mirror", tmp_path)
        kept = [path for path in (tmp_path / "raw").rglob("*") if not path.name.endswith("fetched.json")]
        seen.append({path.name: path.stat().st_ctime_ns for path in kept})
    assert sorted(seen[0]) == ["a.txt", "s", "s.zip", "s.zip.unpacked"]
    assert seen[0] == seen[1]
