"""Fetching a file over HTTP so that a cut connection costs nothing: it goes on where it stopped. Python 3.6 and newer, standard library only."""

import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from typing import Callable, Optional

from payload.archive import DataProblem
from payload.files import digest_of

BLOCK = 1 << 18
AGENT = "holdfast-data/1"


def _total_of(response: http.client.HTTPResponse, offset: int) -> Optional[int]:
    length = response.headers.get("Content-Length")
    return offset + int(length) if length is not None and length.isdigit() else None


def _fetch_rest(url: str, part: str, timeout: float, progress: Callable[[int, Optional[int]], None]) -> bool:
    """One connection's worth. True when the server says that the file is whole."""
    offset = os.path.getsize(part) if os.path.exists(part) else 0
    headers = {"User-Agent": AGENT}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # Nothing after our offset: the part is whole, or longer than the file and useless. The checksum tells which.
            return True
        raise
    with response:
        continues = response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {offset}-")
        if not continues:
            offset = 0
        total = _total_of(response, offset)
        with open(part, "ab" if continues else "wb") as file:
            while True:
                block = response.read(BLOCK)
                if not block:
                    break
                file.write(block)
                offset += len(block)
                progress(offset, total)
            file.flush()
            os.fsync(file.fileno())
    return total is None or offset >= total


def download(
    url: str, target: str, md5: str, progress: Callable[[int, Optional[int]], None], timeout: float = 60.0, tries: int = 8, pause: float = 1.0
) -> None:
    """Fetches `url` to `target`, going on from `target`.part where an earlier run stopped, and checks the MD5 sum before the rename.

    progress(bytes so far, total or None) is called once a block. Gives up after `tries` connections in a row that brought nothing new,
    and at once when the server refuses (4xx). Proxies are taken from the environment. Raises DataProblem.
    """
    part = target + ".part"
    is_fresh = not os.path.exists(part)
    fruitless = 0
    while True:
        before = os.path.getsize(part) if os.path.exists(part) else 0
        words = "the connection ended early"
        whole = False
        try:
            whole = _fetch_rest(url, part, timeout, progress)
        except urllib.error.HTTPError as error:
            words = f"HTTP {error.code} {error.reason}"
            if 400 <= error.code < 500 and error.code not in (408, 429):
                raise DataProblem(f"{url} answers {words}. Check the address, or bring the archive yourself and pass it with --from.") from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, socket.timeout, ValueError) as error:
            words = str(error) or type(error).__name__
        if whole:
            found = digest_of(part, "md5")
            if found == md5:
                os.replace(part, target)
                return
            os.unlink(part)
            if is_fresh:
                raise DataProblem(f"{url} has md5 {found}, expected {md5}. The server has another file; bring the archive yourself with --from.")
            # What an earlier run left may have been of another file: one clean start.
            is_fresh = True
            continue
        after = os.path.getsize(part) if os.path.exists(part) else 0
        fruitless = 0 if after > before else fruitless + 1
        if fruitless >= tries:
            raise DataProblem(f"{url} cannot be fetched: {words} ({after} bytes are kept in {part} and the next run goes on from there).")
        time.sleep(min(60.0, pause * 2 ** min(fruitless, 6)))
