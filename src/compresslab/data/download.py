"""Download one published file or archive: every address in turn, retries with back-off, resumption, checked content.

Pooch keeps the place where files go and puts each there in one move; the downloader given to it here adds what
Pooch's own lacks: resumption with HTTP Range (RFC 9110, section 14) and a checksum of the decompressed content.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from compresslab.data.dataset import Remote
from compresslab.data.errors import DataError
from compresslab.data.progress import progress_bar
from compresslab.data.verify import content_problem

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Patience:
    """How long to insist on an address; the pause doubles from one attempt to the next."""

    attempts: int = 4
    pause_s: float = 1.0
    timeout_s: float = 30.0


class _PassingError(Exception):
    """A failure that another attempt at the same address may not meet."""


class _FinalError(Exception):
    """A failure that every attempt at this address will meet."""


def download(remote: Remote, destination: Path, patience: Patience) -> None:
    """Put ``remote`` below ``destination`` under its ``download_name``, whole and with the published content.

    What an interrupted download received stays beside it as ``NAME.ADDRESS.partial`` and is resumed by the next one,
    where the server allows. Raises DataError with what every address answered.
    """
    pooch.get_logger().setLevel("WARNING")
    target = destination / remote.download_name
    downloader = _ResumingDownloader(remote, target, patience)
    failures = []
    for url in remote.urls:
        try:
            pooch.retrieve(url, None, fname=target.name, path=target.parent, downloader=downloader)
        except (_PassingError, _FinalError) as failure:
            failures.append(f"{urlsplit(url).netloc} {failure}")
            continue
        for leftover in target.parent.glob(f"{target.name}.*.partial"):
            leftover.unlink()
        return
    raise DataError(f"cannot download {remote.download_name}: {'; '.join(failures)}")


class _ResumingDownloader:
    """A Pooch downloader that hands over only what was checked."""

    def __init__(self, remote: Remote, target: Path, patience: Patience) -> None:
        self.remote = remote
        self.target = target
        self.patience = patience

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        # Mirrors hold differently compressed copies, so the beginning from one does not fit the end from another.
        partial = self.target.with_name(f"{self.target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.partial")
        for attempt in range(self.patience.attempts):
            if attempt:
                time.sleep(self.patience.pause_s * 2 ** (attempt - 1))
            try:
                self._receive_checked(url, partial)
                partial.replace(output_file)
                return
            except _PassingError as failure:
                last = failure
        raise last

    def _receive_checked(self, url: str, partial: Path) -> None:
        resumed = partial.exists()
        if not (resumed and content_problem(partial, self.remote) is None):
            self._receive(url, partial)
        problem = content_problem(partial, self.remote)
        if problem is None:
            return
        partial.unlink()
        message = f"answered with a file that {problem}"
        # The file may have changed on the server between its two halves: a fresh start decides.
        raise _PassingError(message) if resumed else _FinalError(message)

    def _receive(self, url: str, partial: Path) -> None:
        """Append to ``partial`` what the server still has to send; begin again where it does not resume."""
        offset = partial.stat().st_size if partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.patience.timeout_s) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    partial.unlink(missing_ok=True)
                _raise_for_status(response.status_code)
                if response.status_code != requests.codes.partial_content:
                    offset = 0
                self._append(response, partial, offset)
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
            raise _PassingError(_reason(error, self.patience.timeout_s)) from error
        except requests.RequestException as error:
            raise _FinalError(f"cannot be asked ({error})") from error

    def _append(self, response: requests.Response, partial: Path, offset: int) -> None:
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdigit() else None
        progress = progress_bar(self.target.name, total, "B", offset)
        with partial.open("ab" if offset else "wb") as stream, progress as bar:
            for chunk in _wire_bytes(response):
                stream.write(chunk)
                bar.update(len(chunk))
                if bar.n > self.remote.download_bytes:
                    break
        if bar.n > self.remote.download_bytes:
            partial.unlink()
            raise _FinalError(f"sends more than the {self.remote.download_bytes:,} bytes that it may hold")


def _wire_bytes(response: requests.Response) -> Iterator[bytes]:
    # Undecoded, since some servers label a .gz file "Content-Encoding: gzip" and it would arrive unpacked.
    return response.raw.stream(_CHUNK, decode_content=False)


def _raise_for_status(status: int) -> None:
    passing = {requests.codes.request_timeout, requests.codes.too_many, requests.codes.requested_range_not_satisfiable}
    if status in passing or status >= 500:
        raise _PassingError(f"answered HTTP {status}")
    if status >= 400:
        raise _FinalError(f"answered HTTP {status}")


def _reason(error: Exception, timeout_s: float) -> str:
    text = f"{type(error).__name__} {error}"
    if "NameResolution" in text:
        return "cannot be found (no network, or no name service)"
    if "refused" in text:
        return "refused the connection"
    if "Timeout" in text or "timed out" in text:
        return f"did not answer within {timeout_s:g} s"
    if "unreachable" in text:
        return "cannot be reached (no network)"
    return "broke the connection"
