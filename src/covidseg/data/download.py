"""One HTTP download that is whole, of bounded size, and ends in bounded time."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import shutil
import socket
import stat
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

TIMEOUT = 30.0  # seconds until a connection, its answer's head, and then SLOWEST bytes a second have come
SLOWEST = 1000  # bytes a second, over TIMEOUT seconds
RETRIES = 3
TOLD_EVERY = 50_000_000  # bytes between two lines of progress
MOST = 32 << 30  # bytes of a file; the largest data set here has 1.1 GB
SPARE = 256 << 20  # bytes that stay free on the disk
PAGES = ("text/html", "application/xhtml+xml")
MAGIC = {
    ".zip": (b"PK\x03\x04", b"PK\x05\x06"),
    ".gz": (b"\x1f\x8b",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
}
Progress = Callable[[str], None]


def get(address: str, part: Path, goes_on: bool, progress: Progress) -> None:
    """Download ``address`` to ``part``; a broken connection is tried again.

    ``goes_on``: whether bytes that are already in ``part`` may be kept, because a hash will be checked afterwards.
    Raises OSError, ValueError or HTTPException: for no or an empty answer, an HTML page, a compressed transfer, a body
    shorter than announced, of unknown length where nothing else tells that it is whole, or larger than MOST and the
    disk allow, fewer than SLOWEST bytes a second, and a redirection to a private address or away from https.
    """
    for attempt in range(RETRIES):
        if not (goes_on and _regular(part)):
            part.unlink(missing_ok=True)
        try:
            return _go_on(address, part, goes_on, progress)
        except urllib.error.HTTPError:
            raise
        except TimeoutError:
            raise  # whoever is slow once is slow again: the next address is asked
        except (ConnectionError, urllib.error.URLError, http.client.HTTPException) as e:
            if attempt == RETRIES - 1 or isinstance(getattr(e, "reason", None), TimeoutError):
                raise


def read(address: str, most: int) -> bytes:
    """Return the body of a small answer, as a record. Raises as ``get`` does, and ValueError beyond ``most`` bytes."""
    with _open(urllib.request.Request(address)) as answer:
        body, started = b"", time.monotonic()
        while chunk := answer.read1(1 << 16):
            body += chunk
            if len(body) > most:
                raise ValueError(f"the answer has more than {most} bytes")
            if time.monotonic() - started > TIMEOUT:
                raise TimeoutError(f"no whole answer within {TIMEOUT:g} s")
        return body


def _regular(path: Path) -> bool:
    """Tell whether there is a file of our own: no link, which would be written through, and no pipe."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _go_on(address: str, part: Path, hashed: bool, progress: Progress) -> None:
    """Ask for what ``part`` lacks and append it; start anew where the server cannot send a part."""
    at = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(urllib.request.Request(address, headers={"Range": f"bytes={at}-"} if at else {}))
    except urllib.error.HTTPError as e:
        if e.code == 416 and at:  # nothing lacks; the hash decides
            return
        raise
    with answer:
        _check_head(answer, address, hashed)
        begins = answer.headers["Content-Range"] or f"bytes {at}-"
        if answer.status == 206 and not begins.startswith(f"bytes {at}-"):
            part.unlink()
            raise ConnectionError("the server sent another part of the file than it was asked for")
        goes_on = answer.status == 206
        free = shutil.disk_usage(part.parent).free - SPARE
        if (answer.length or 0) > min(MOST, free):
            raise ValueError(f"{answer.length} bytes are announced, {max(0, min(MOST, free))} may come")
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if goes_on else os.O_TRUNC)
        with open(os.open(part, flags, 0o644), "ab" if goes_on else "wb") as f:
            _copy(answer, f, min(MOST, free), progress)
            lacking, size = answer.length, f.tell()  # what the server promised and did not send
    if lacking:
        raise ConnectionError(f"the connection broke {lacking} bytes before the end")
    if not size:
        part.unlink()
        raise ValueError("the answer is empty")
    if not hashed:
        _check_type(address, part)


def _check_head(answer: Any, address: str, hashed: bool) -> None:
    """Refuse an answer that cannot be the file."""
    if answer.status not in (200, 206):
        raise ValueError(f"answer {answer.status} without a file")
    if (coded := answer.headers.get("Content-Encoding", "identity")) != "identity":
        raise ValueError(f"sent with the encoding {coded}, which was not asked for")
    if answer.headers.get_content_type() in PAGES and not address.endswith((".html", ".htm")):
        raise ValueError("an HTML page came, no file; the address may want a login")
    if answer.length is None and not answer.chunked and not hashed:
        raise ValueError("the server announces no length, and no hash tells whether the file is whole")


def _check_type(address: str, part: Path) -> None:
    """Refuse a file that does not begin as its kind does."""
    suffix = Path(urllib.parse.urlsplit(address).path).suffix.lower()
    kind = suffix if suffix in MAGIC else Path(part.name.removesuffix(".part")).suffix.lower()
    if kind in MAGIC:
        with open(part, "rb") as f:
            if not f.read(8).startswith(MAGIC[kind]):
                part.unlink()
                raise ValueError(f"what came is no {kind} file")


def _copy(answer: Any, f: IO[bytes], most: int, progress: Progress) -> None:
    """Append a body to a file; ``most`` bytes at most, SLOWEST a second at least."""
    start = told = counted = f.tell()
    size = f" of {(start + answer.length) / 1e6:.0f}" if answer.length else ""
    since = time.monotonic()
    while chunk := answer.read1(1 << 20):
        f.write(chunk)
        at, now = f.tell(), time.monotonic()
        if at - start > most:
            raise ValueError(f"more than {most} bytes came, and no end")
        if now - since >= TIMEOUT:
            if at - counted < SLOWEST * TIMEOUT:
                raise TimeoutError(f"{at - counted} bytes in {now - since:.0f} s; too slow to go on")
            since, counted = now, at
        if at - told >= TOLD_EVERY:
            told = at
            progress(f"{told / 1e6:.0f}{size} MB")


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections to public addresses only, or on the same host, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in ("http", "https") or (old.scheme, new.scheme) == ("https", "http"):
            raise ValueError(f"redirected from {old.scheme} to {new.scheme}")
        if new.hostname != old.hostname and (private := _private(new.hostname or "")):
            raise ValueError(f"redirected to the private address {private}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _private(host: str) -> str | None:
    """Return an address of a host that is not of the public internet; None where all are, or none is found."""
    with contextlib.suppress(OSError, UnicodeError):
        for *_, address in socket.getaddrinfo(host, None):
            if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
                return str(address[0])
    return None


class _Answering:
    """A connection whose answer's head has to come within TIMEOUT seconds as a whole."""

    def getresponse(self) -> Any:
        late = threading.Event()

        def end() -> None:
            late.set()
            with contextlib.suppress(OSError, AttributeError):
                self.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]

        timer = threading.Timer(TIMEOUT, end)
        timer.daemon = True
        timer.start()
        try:
            answer = super().getresponse()  # type: ignore[misc]
        except (OSError, http.client.HTTPException) as e:
            if late.is_set():
                raise TimeoutError(f"no answer within {TIMEOUT:g} s") from e
            raise
        finally:
            timer.cancel()
        if late.is_set():  # the end of the connection looks like the end of the head
            answer.close()
            raise TimeoutError(f"no answer within {TIMEOUT:g} s")
        return answer


class _Http(_Answering, http.client.HTTPConnection):
    pass


class _Https(_Answering, http.client.HTTPSConnection):
    pass


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, req)


def _open(request: urllib.request.Request) -> Any:
    opener = urllib.request.build_opener(_HttpHandler, _HttpsHandler, _Redirections)
    return opener.open(request, timeout=TIMEOUT)
