"""A file system of fusepy: the file `number-N` contains the square of N. What was called is written when it ends.

usage: fs.py MOUNTPOINT RESULT
"""

import errno
import os
import stat
import sys

import calls

try:
    from fusepy import FUSE, FuseOSError, Operations  # as Debian calls it
except ImportError:
    from fuse import FUSE, FuseOSError, Operations


class Squares(Operations):
    def __init__(self, result):
        self.result = result

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path.startswith("/number-"):
            return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": 4096}
        raise FuseOSError(errno.ENOENT)

    def read(self, path, size, offset, fh):
        # What is read is asked for until nothing comes any more.
        return b"" if offset else str(calls.note(int(path[len("/number-"):]))).encode()

    def destroy(self, path):
        with open(self.result, "w") as file:
            file.write(calls.summary())


if __name__ == "__main__":
    FUSE(Squares(os.path.abspath(sys.argv[2])), sys.argv[1], direct_io=True)
