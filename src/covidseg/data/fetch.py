"""Fetching a data set's sources: a local mirror first, then downloads; every file is checked against its hash."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidseg.base import csvfile, files
from covidseg.base.errors import UserError
from covidseg.base.files import clear_when_full
from covidseg.data import download as http_download
from covidseg.data.raw import KEPT, RECORD, as_recorded, make_way, recorded, tree
from covidseg.data.raw import write as record
from covidseg.data.unpack import unpack
from covidseg.schema import Dataset, Source

FIGSHARE = "https://api.figshare.com/v2/articles/"
LARGEST_RECORD = 16 << 20  # bytes of figshare's answer about an article
THERE = "already there"
Progress = Callable[[str], None]


class AbsentError(UserError):
    """A source that neither the mirror nor an address gives, in contrast to a wrong file."""


@dataclass(frozen=True)
class _Fetching:
    """Where files go and what an earlier fetch left: ``pinned`` is the sha256 of files at their first use."""

    raw: Path
    mirror: Path | None
    pinned: dict[str, str]
    listed: dict[str, str]
    progress: Progress


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
    own file list gives address and md5. Where no hash is known, that of the first use is recorded and holds from then
    on. An optional source that cannot be had is left out and named in the record; what is there of it stays.
    ``manifest_folder`` holds the manifests, ``progress`` is called with a line per file. Raises UserError when a source
    cannot be had or is not what its hash says; no bad file is left behind. A download that broke off goes on where it
    was. Files of the mirror are copied, never linked.
    """
    found: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    before = recorded(raw / "fetched.json")
    earlier = found_before if isinstance(found_before := before.get("files"), dict) else {}
    pinned = {file: facts["sha256"] for file, facts in earlier.items() if facts.get("trusted")}
    task = _Fetching(raw, mirror and mirror / name, pinned, before.get("tree", {}), progress)
    for source in dataset.sources:
        try:
            found |= _source(source, task, manifest_folder)
        except AbsentError as e:
            if not source.optional:
                raise UserError(f"{e} to a folder that holds it as {name}/{source.name}") from e
            left_out[source.name] = str(e)
            progress(f"{source.name} left out: {e}")
    for file, facts in found.items():  # the record says where a file came from, not that it was there the second time
        if facts["from"] == THERE:
            facts["from"] = earlier.get(file, facts)["from"]
    fetched = {"dataset": name, "files": found, "tree": tree(raw)} | ({"left_out": left_out} if left_out else {})
    record(raw, fetched)
    return fetched


def _source(source: Source, task: _Fetching, manifest_folder: Path) -> dict[str, dict[str, Any]]:
    """Bring one source; return the facts of its files."""
    if source.manifest:
        return _listed(source, task, manifest_folder / source.manifest)
    if task.mirror and (task.mirror / source.name).is_dir():
        facts = _folder(source, task, task.mirror)
    else:
        facts = _file(source, source, task)
    if source.unpack:
        _unpacked(source, task, facts["sha256"])
    return {source.name: facts}


def _unpacked(source: Source, task: _Fetching, sha256: str) -> None:
    """Unpack a zip beside itself, unless the folder there came from this very file and is as it was recorded."""
    path = task.raw / source.name
    folder, stamp = path.with_suffix(""), path.with_name(f"{path.name}.unpacked")
    same = folder.is_dir() and stamp.is_file() and stamp.read_text("utf-8") == sha256
    if not (same and (not task.listed or as_recorded(folder, task.raw, task.listed))):
        stamp.unlink(missing_ok=True)
        _make_way(folder, task)
        unpack(path, folder)
        files.write_text(stamp, sha256)


def _make_way(folder: Path, task: _Fetching) -> None:
    if kept := make_way(folder, task.raw, task.listed):
        task.progress(f"{folder.name} holds files that no fetch recorded; it was set aside as {kept.name}")


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
    listed: dict[str, str] = {}
    try:
        for row in csvfile.read(path, csvfile.all_text):
            if row["file"] in listed:
                raise UserError(f"{path}: {row['file']!r} is listed twice; restore the manifest")
            listed[row["file"]] = row["sha256"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest; restore it from the repository") from None
    except (KeyError, ValueError) as e:
        raise UserError(f"{path}: expected the columns file,sha256 ({e})") from e
    if not listed:
        raise UserError(f"{path}: expected the columns file,sha256 and a line for each file; restore the manifest")
    for file in listed:
        if not file or not file.isprintable() or {"", ".", ".."} & set(file.split("/")):  # "/a" starts with ""
            raise UserError(f"{path}: {file!r} is no file in the data set's folder; restore the manifest")
    return listed


def _listed(source: Source, task: _Fetching, manifest: Path) -> dict[str, dict[str, Any]]:
    """Fetch the files a manifest lists below a source."""
    found = {}
    for file, sha256 in read_manifest(manifest).items():
        urls = [url + urllib.parse.quote(file) for url in source.urls]
        one = Source(name=f"{source.name}/{file}", urls=urls, sha256=sha256)
        found[one.name] = _file(one, source, task)
    return found


def _folder(source: Source, task: _Fetching, mirror: Path) -> dict[str, Any]:
    """Take a whole folder from the mirror; its hash is that of the tree."""
    origin, target = mirror / source.name, task.raw / source.name
    expected = source.sha256 or task.pinned.get(source.name)
    if not (target.is_dir() and not target.is_symlink() and expected and tree_sha256(target) == expected):
        _refuse_links(target, task.raw)
        task.raw.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}{files.MAKING}", dir=task.raw))
        try:
            with clear_when_full(target):
                _copy_tree(origin, temporary / "tree")
            sha256 = tree_sha256(temporary / "tree")
            if expected not in (None, sha256):
                why = "not what the data set names" if source.sha256 else _not_pinned(task)
                raise UserError(f"{origin}: sha256 of the folder is {sha256[:12]}..., {why}")
            _make_way(target, task)
            (temporary / "tree").rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        task.progress(f"{source.name} from the mirror")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    facts = {"sha256": tree_sha256(target), "bytes": size, "from": "mirror"}
    return facts if source.sha256 else _trusted(source.name, facts, task)


def _copy_tree(origin: Path, target: Path) -> None:
    """Copy a folder's files, also behind links. Raises UserError for what is no file, as a pipe or a loop of links."""
    try:
        for here, folders, names in os.walk(origin, followlinks=False, onerror=_raise):
            own = target / Path(here).relative_to(origin)
            own.mkdir(parents=True)
            for name in folders:
                if (Path(here) / name).is_symlink():
                    raise UserError(f"{Path(here) / name}: a link to a folder; put the folder itself into the mirror")
            for name in names:
                _clone(Path(here) / name, own / name)
    except OSError as e:
        if e.errno in files.FULL:
            raise
        raise UserError(f"{origin}: cannot be copied ({e.strerror}); correct the mirror") from e


def _raise(e: OSError) -> None:
    raise e


def _clone(origin: Path, target: Path) -> None:
    try:
        files.clone(origin, target)
    except (ValueError, FileNotFoundError) as e:
        raise UserError(f"{origin}: no regular file ({e}); correct the mirror") from e


def _trusted(name: str, facts: dict[str, Any], task: _Fetching) -> dict[str, Any]:
    """Note that a file's hash is known from its first use only."""
    if name not in task.pinned:
        task.progress(f"{name}: no hash is known; sha256 {facts['sha256'][:12]}... is recorded and holds from now on")
    return {**facts, "trusted": "first use"}


def _not_pinned(task: _Fetching) -> str:
    return f"not as at its first use; delete {task.raw / RECORD} and {KEPT} beside it to take it nevertheless"


def _refuse_links(path: Path, raw: Path) -> None:
    """Raise UserError where a link below ``raw`` would lead what is written to ``path`` elsewhere."""
    for part in (path, *path.parents):
        if part == raw:
            return
        if part.is_symlink():
            raise UserError(f"{part}: is a link; remove it, files are not written through links")


def _file(source: Source, owner: Source, task: _Fetching) -> dict[str, Any]:
    """Fetch one file; return its sha256, size and where it came from."""
    target = task.raw / source.name
    pin = None if source.sha256 or source.md5 else task.pinned.get(source.name)
    known = source.model_copy(update={"sha256": pin}) if pin else source
    mirrored = task.mirror / source.name if task.mirror else None
    if target.is_file() and (known.sha256 or known.md5) and not _mismatch(target, known):
        origin = THERE
        if target.stat().st_nlink > 1:  # linked to a mirror, or to another data set: editing one would edit the other
            with _placing(target) as temporary:
                files.clone(target, temporary)
    elif mirrored is not None and mirrored.is_file():
        _refuse_links(target.parent, task.raw)
        with _placing(target) as temporary:
            _clone(mirrored, temporary)
            if problem := _mismatch(temporary, known):
                raise UserError(f"{mirrored}: {problem}; {_not_pinned(task) if pin else OTHER}")
        origin = "mirror"
        task.progress(f"{source.name} from the mirror")
    else:
        _refuse_links(target.parent, task.raw)
        try:
            origin, known = _download(target, known, owner, task.progress)
        except _WrongError as e:
            raise UserError(f"{e}; {_not_pinned(task) if pin else OTHER}") from e
    facts = {"sha256": files.sha256(target), "bytes": target.stat().st_size, "from": origin}
    return _trusted(source.name, facts, task) if pin or not (known.sha256 or known.md5) else facts


def download(
    target: Path, urls: list[str], check: Callable[[Path], Any], progress: Callable[[str], None] | None = None
) -> str:
    """Download ``target`` from the first address that gives it; return the address.

    ``check`` is called with the file before it is put in place and raises UserError when it is a wrong one. Raises
    UserError when no address answers.
    """
    source = Source(name=target.name, urls=urls)
    return _download(target, source, source, progress or (lambda line: None), check)[0]


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


OTHER = "the file is truncated or another version, fetch it again"


class _WrongError(UserError):
    """A file that is not what its hash says."""


def _download(
    target: Path, source: Source, owner: Source, progress: Progress, check: Callable[[Path], Any] | None = None
) -> tuple[str, Source]:
    """Download one file from the first address that gives it; return the address, and the source with its hash.

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
                http_download.get(address, part, goes_on, lambda said: progress(f"{source.name}: {said}"))
            if problem := _mismatch(part, exact):
                raise _WrongError(f"{_said(address)}: {problem}")
            if check:
                check(part)
            part.replace(target)
            return _said(address), exact
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
    record = json.loads(http_download.read(FIGSHARE + url.removeprefix("figshare:"), LARGEST_RECORD))
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


@contextmanager
def _placing(target: Path) -> Iterator[Path]:
    """Yield a free path; the file brought there is put in place when the block ends well."""
    with files.replacing(target) as temporary:
        temporary.unlink()
        yield temporary


def _mismatch(path: Path, source: Source) -> str | None:
    """Say how a file differs from its source's hash; None when it does not."""
    for kind, expected in (("sha256", source.sha256), ("md5", source.md5)):
        if expected:
            with open(path, "rb") as f:
                actual = hashlib.file_digest(f, kind).hexdigest()
            if actual != expected.lower():
                return f"{kind} is {actual[:12]}..., expected {expected[:12]}... ({path.stat().st_size} bytes)"
    return None
