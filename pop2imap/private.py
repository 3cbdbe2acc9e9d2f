"""Files that a person names and the program writes: a report, a log. They tell of mail, so nobody else reads them,
and nobody else says where they go.

In a directory that others can write to, such as ``/tmp``, somebody may have been there before: with a symbolic link
that leads to a file of ours, or with a file of their own that they can read. A link of one's own is followed,
if it leads to a file, and so is one of root's, such as ``/dev/stderr``.
"""

from __future__ import annotations

import errno
import os


def opened(path: str | os.PathLike[str], flags: int) -> int:
    """Open ``path`` with ``flags`` for its owner alone; if it was there already it keeps its mode. Raises OSError,
    PermissionError if it is somebody else's: what root owns root could read anyway, and root writes where it likes."""
    flags |= os.O_CLOEXEC | os.O_NOCTTY
    try:
        handle = os.open(path, flags & ~os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP or os.lstat(path).st_uid not in {0, os.geteuid()}:
            raise
        handle = os.open(path, flags & ~(os.O_TRUNC | os.O_CREAT))
    try:
        if os.geteuid() != 0 and os.fstat(handle).st_uid not in {0, os.geteuid()}:
            raise PermissionError(errno.EPERM, "it belongs to somebody else")
        if flags & os.O_TRUNC:
            os.ftruncate(handle, 0)
    except BaseException:
        os.close(handle)
        raise
    return handle
