"""Fetching a data set's sources: a local mirror first, then downloads; every file is checked against its hash."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from covidseg.base import files
from covidseg.base.errors import UserError
from covidseg.base.files import clear_when_full
from covidseg.data.unpack import unpack
from covidseg.schema import Dataset, Source

FIGSHARE = "https://api.figshare.com/v2/articles/"
TIMEOUT = 60  # seconds without an answer
RETRIES = 3
TOLD_EVERY = 50_000_000  # bytes of a download
THERE = "already there"
Progress = Callable[[str], None]


class AbsentError(UserError):
    """A source that neither the mirror nor an address gives, in contrast to a wrong file."""


def fetch(
    name: str,
    dataset: Dataset,
    raw: Path,
    mirror: Path | None,
    manifest_folder: Path,
    progress: Progress = lambda line: None,
) -> dict[str, Any]:
    """Bring the sources of a data set below ``raw``; return what ``raw/fetched.json``, written last, holds.

    A source is taken from ``raw`` when it is already there and right, else from ``mirror/name``, else from its URLs:
    an address of the file; an address ending in / below which the manifest's files lie; or ``figshare:ARTICLE``, whose
    own file list gives address and md5. One that is optional is left out where it cannot be had. ``manifest_folder``
    holds the manifests, ``progress`` is called with a line per file. Raises UserError when a source cannot be had or is
    not what its hash says; no bad file is left behind. A download that broke off goes on where it was.
    """
    found: dict[str, dict[str, Any]] = {}
    before = _recorded(raw / "fetched.json")
    own_mirror = mirror and mirror / name
    for source in dataset.sources:
        try:
            found |= _source(source, raw, own_mirror, manifest_folder, progress)
        except AbsentError as e:
            if not source.optional:
                raise UserError(f"{e} to a folder that holds it as {name}/{source.name}") from e
            shutil.rmtree(raw / source.name, ignore_errors=True)  # of some of its files nothing could be said
            progress(f"{source.name} left out: {e}")
    for file, facts in found.items():  # the record says where a file came from, not that it was there the second time
        if facts["from"] == THERE:
            facts["from"] = before.get(file, facts)["from"]
    fetched = {"dataset": name, "files": found}
    files.write_json(raw / "fetched.json", fetched)
    return fetched


def _source(
    source: Source, raw: Path, mirror: Path | None, manifest_folder: Path, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Bring one source; return the facts of its files."""
    if source.manifest:
        return _listed(source, raw, mirror, manifest_folder / source.manifest, progress)
    if mirror and (mirror / source.name).is_dir():
        facts = _folder(source, raw, mirror, progress)
    else:
        facts = _file(source, source, raw, mirror, progress)
    if source.unpack:
        _unpacked(raw / source.name, facts["sha256"])
    return {source.name: facts}


def _recorded(path: Path) -> dict[str, dict[str, Any]]:
    """Return the files of an earlier record; none when there is no whole one."""
    try:
        return dict(json.loads(path.read_text("utf-8"))["files"])
    except (OSError, ValueError, KeyError):
        return {}


def _unpacked(path: Path, sha256: str) -> None:
    """Unpack a zip beside itself, unless the folder there came from this very file."""
    folder, stamp = path.with_suffix(""), path.with_name(f"{path.name}.unpacked")
    if not (folder.is_dir() and stamp.is_file() and stamp.read_text("utf-8") == sha256):
        unpack(path, folder)
        files.write_text(stamp, sha256)


def tree_sha256(folder: Path) -> str:
    """Return one sha256 for a folder: that of its sorted lines ``<sha256>  <file>``."""
    lines = [
        f"{files.sha256(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, str]:
    """Read a manifest, file -> sha256, which is empty where it is not known.

    Raises UserError when it is missing, or names what is no file in the folder.
    """
    try:
        with open(path, encoding="utf-8", newline="") as f:
            listed = {row["file"]: row["sha256"] for row in csv.DictReader(f)}
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest; restore it from the repository") from None
    except (KeyError, csv.Error, UnicodeDecodeError) as e:
        raise UserError(f"{path}: expected the columns file,sha256 ({e})") from e
    for file in listed:
        if not file or not file.isprintable() or {"", ".", ".."} & set(file.split("/")):  # "/a" starts with ""
            raise UserError(f"{path}: {file!r} is no file in the data set's folder; restore the manifest")
    return listed


def _listed(
    source: Source, raw: Path, mirror: Path | None, manifest: Path, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Fetch the files a manifest lists below a source."""
    found = {}
    for file, sha256 in read_manifest(manifest).items():
        urls = [url + urllib.parse.quote(file) for url in source.urls]
        one = Source(name=f"{source.name}/{file}", urls=urls, sha256=sha256)
        found[one.name] = _file(one, source, raw, mirror, progress)
    return found


def _folder(source: Source, raw: Path, mirror: Path, progress: Progress) -> dict[str, Any]:
    """Take a whole folder from the mirror; its hash is that of the tree."""
    origin, target = mirror / source.name, raw / source.name
    if not (target.is_dir() and tree_sha256(target) == source.sha256):
        raw.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}{files.MAKING}", dir=raw))
        try:
            with clear_when_full(target):
                shutil.copytree(origin, temporary / "tree", copy_function=_link)
            for path in [temporary / "tree", *(temporary / "tree").rglob("*")]:
                if path.is_dir():  # a read-only mirror gives read-only folders, which cannot be moved
                    path.chmod(0o755)
            sha256 = tree_sha256(temporary / "tree")
            if source.sha256 not in (None, sha256):
                raise UserError(f"{origin}: sha256 of the folder is {sha256[:12]}..., not what the data set names")
            shutil.rmtree(target, ignore_errors=True)
            (temporary / "tree").rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        progress(f"{source.name} from the mirror")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {"sha256": tree_sha256(target), "bytes": size, "from": "mirror"}


def _file(source: Source, owner: Source, raw: Path, mirror: Path | None, progress: Progress) -> dict[str, Any]:
    """Fetch one file; return its sha256, size and where it came from."""
    target = raw / source.name
    if target.is_file() and (source.sha256 or source.md5) and not _mismatch(target, source):
        origin = THERE
    elif mirror and (mirror / source.name).is_file():
        with _placing(target, source, str(mirror / source.name)) as temporary:
            _link(mirror / source.name, temporary)
        origin = "mirror"
        progress(f"{source.name} from the mirror")
    else:
        origin = _download(target, source, owner, progress)
    return {"sha256": files.sha256(target), "bytes": target.stat().st_size, "from": origin}


def download(
    target: Path, urls: list[str], check: Callable[[Path], Any], progress: Callable[[str], None] | None = None
) -> str:
    """Download ``target`` from the first address that gives it; return the address.

    ``check`` is called with the file before it is put in place and raises UserError when it is a wrong one. Raises
    UserError when no address answers.
    """
    source = Source(name=target.name, urls=urls)
    return _download(target, source, source, progress or (lambda line: None), check)


def weights(
    url: str, folder: Path, mirror: Path | None, remedy: str, progress: Callable[[str], None] | None = None
) -> Path:
    """Return a file of published weights, whose name ends in the first digits of its sha256.

    It is looked for in ``folder``, in ``mirror`` and its folder weights, then downloaded into ``folder``. Raises
    UserError, which names the ``remedy``, when it cannot be had, and when its hash is another.
    """
    from filelock import FileLock

    path = folder / url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # jobs run in parallel and want the same file
        mirrors = [mirror / path.name, mirror / "weights" / path.name] if mirror else []
        for origin in (path, *mirrors):
            if origin.is_file():
                return checked(origin)
        try:
            download(path, [url], lambda temporary: checked(temporary, path.name), progress)
        except AbsentError as e:
            raise UserError(f"{e}; or put it into the mirror's folder weights, or {remedy}") from e
    return path


def checked(path: Path, name: str | None = None) -> Path:
    """Return ``path`` when its sha256 starts with the hex digits at the end of its name; raise UserError otherwise."""
    expected = (name or path.name).removesuffix(".pth").rpartition("-")[2]
    actual = files.sha256(path)
    if not actual.startswith(expected):
        raise UserError(f"{path}: sha256 starts with {actual[:8]}, expected {expected}; delete it and fetch again")
    return path


def _download(
    target: Path, source: Source, owner: Source, progress: Progress, check: Callable[[Path], Any] | None = None
) -> str:
    """Download one file from the first address that gives it; return the address.

    It goes on where it broke off only where a hash or ``check`` would find pieces of two versions.
    """
    if not source.urls:
        raise AbsentError(f"{owner.name}: no address to download it from; set mirror:")
    problems = []
    part = target.with_name(f".{target.name}.part")  # stays after a broken connection: the next run goes on there
    for url in source.urls:
        try:
            exact, address = _resolve(source, url)
            progress(f"{source.name} from {_said(address)}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with clear_when_full(target):
                goes_on = bool(exact.sha256 or exact.md5 or check)
                _get(address, part, goes_on, lambda said: progress(f"{source.name}: {said}"))
            if problem := _mismatch(part, exact):
                raise UserError(
                    f"{_said(address)}: {problem}; the file is truncated or another version, fetch it again"
                )
            if check:
                check(part)
            part.replace(target)
            return _said(address)
        except UserError:
            part.unlink(missing_ok=True)
            raise
        except (OSError, ValueError, http.client.HTTPException) as e:
            problems.append(f"{_said(url)}: {str(e).splitlines()[0] if str(e) else type(e).__name__}")
    raise AbsentError(f"{source.name}: cannot be downloaded ({'; '.join(problems)}); try again or set mirror:")


def _said(address: str) -> str:
    """Return an address as records and messages may hold it: without its query, which may be a signature or a token."""
    return address.partition("?")[0]


def _resolve(source: Source, url: str) -> tuple[Source, str]:
    """Return the source with the hash to check and the address to ask; figshare's record gives both."""
    if not url.startswith("figshare:"):
        return source, url
    with urllib.request.urlopen(FIGSHARE + url.removeprefix("figshare:"), timeout=TIMEOUT) as answer:
        record = json.load(answer)
    try:
        listed = {entry["name"]: (str(entry["computed_md5"]), str(entry["download_url"])) for entry in record["files"]}
    except (KeyError, TypeError) as e:
        raise ValueError(f"the record is not as expected ({type(e).__name__}: {e})") from e
    if source.name not in listed:
        raise ValueError(f"the record has no {source.name}, it has {', '.join(sorted(listed))}")
    md5, address = listed[source.name]
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"the record's address is no download: {address}")
    return source.model_copy(update={"md5": source.md5 or md5}), address


def _get(address: str, part: Path, goes_on: bool, progress: Progress) -> None:
    """Download to ``part``, going on where it ends; a broken connection is tried again. Raises OSError."""
    for attempt in range(RETRIES):
        if not goes_on:
            part.unlink(missing_ok=True)
        try:
            return _go_on(address, part, progress)
        except urllib.error.HTTPError:
            raise
        except (ConnectionError, TimeoutError, urllib.error.URLError, http.client.HTTPException):
            if attempt == RETRIES - 1:
                raise


def _go_on(address: str, part: Path, progress: Progress) -> None:
    """Ask for what ``part`` lacks and append it; start anew where the server cannot send a part."""
    at = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={at}-"} if at else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as e:
        if e.code == 416 and at:  # nothing lacks; the hash decides
            return
        raise
    if answer.status == 206 and not (answer.headers["Content-Range"] or f"bytes {at}-").startswith(f"bytes {at}-"):
        answer.close()
        part.unlink()
        raise ConnectionError("the server sent another part of the file than it was asked for")
    with answer, open(part, "ab" if answer.status == 206 else "wb") as f:
        size = f" of {(f.tell() + answer.length) / 1e6:.0f}" if answer.length else ""
        told = f.tell()
        while chunk := answer.read(1 << 20):
            f.write(chunk)
            if f.tell() - told >= TOLD_EVERY:
                told = f.tell()
                progress(f"{told / 1e6:.0f}{size} MB")
        lacking = answer.length  # what the server promised and did not send
    if lacking:
        raise ConnectionError(f"the connection broke {lacking} bytes before the end")


@contextmanager
def _placing(target: Path, source: Source, origin: str) -> Iterator[Path]:
    """Yield a free path; the file brought there is checked and put in place, or removed when it is a wrong one."""
    with files.replacing(target) as temporary:
        temporary.unlink()  # a hard link needs a free name
        yield temporary
        if problem := _mismatch(temporary, source):
            raise UserError(f"{origin}: {problem}; the file is truncated or another version, fetch it again")


def _mismatch(path: Path, source: Source) -> str | None:
    """Say how a file differs from its source's hash; None when it does not."""
    for kind, expected in (("sha256", source.sha256), ("md5", source.md5)):
        if expected:
            with open(path, "rb") as f:
                actual = hashlib.file_digest(f, kind).hexdigest()
            if actual != expected.lower():
                return f"{kind} is {actual[:12]}..., expected {expected[:12]}... ({path.stat().st_size} bytes)"
    return None


def _link(origin: str | Path, target: str | Path) -> None:
    """Hard-link a file, or copy it where links cannot be made."""
    try:
        os.link(os.path.realpath(origin), target)
    except OSError:
        shutil.copyfile(origin, target)
