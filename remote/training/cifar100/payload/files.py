"""Writing that survives a kill: tmp + fsync + rename, and a little space kept back for the last words. Runs on Python 3.6 and newer."""

import errno
import hashlib
import json
import math
import os

RESERVE_BYTES = 64 * 1024


def sync_folder(folder: str) -> None:
    """Makes renames inside a folder durable; some parallel file systems refuse fsync on folders, which is theirs to decide."""
    try:
        descriptor = os.open(folder or ".", os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(descriptor)


def write_bytes(path: str, content: bytes) -> None:
    """Writes a whole file or nothing: readers see the old content or the new one. Raises OSError; leaves no partial file."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def finite(value: object) -> object:
    """The same value with NaN and infinities as None: JSON has no such numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def write_json(path: str, value: object) -> None:
    """A JSON file, whole or not at all."""
    write_bytes(path, (json.dumps(finite(value), indent=2, allow_nan=False) + "\n").encode("utf-8"))


def append_json_line(path: str, value: object) -> None:
    """One more line of a JSON-lines file, on the disk before this returns."""
    line = (json.dumps(finite(value), allow_nan=False) + "\n").encode("utf-8")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        while line:
            line = line[os.write(descriptor, line) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve_space(path: str) -> None:
    """Occupies 64 KiB, so that a training whose disk runs full can still write why it failed (see `release_space`)."""
    with open(path, "wb") as file:
        file.write(b"\0" * RESERVE_BYTES)
        file.flush()
        os.fsync(file.fileno())


def release_space(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def digest_of(path: str, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file. MD5 is asked for as a checksum, which hardened (FIPS) builds of Python allow only when told so."""
    try:
        digest = hashlib.new(algorithm, usedforsecurity=False)
    except TypeError:
        digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
