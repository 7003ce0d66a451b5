"""A disk in memory, for nbdkit: `size=` says how large it is. nbdkit's own Python plugin takes this script, too."""

import nbdkit

API_VERSION = 2
disk = bytearray(64 << 20)


def config(key, value):
    global disk
    if key != "size":
        raise ValueError(f"there is no parameter {key}")
    disk = bytearray(nbdkit.parse_size(value))


def thread_model():
    return nbdkit.THREAD_MODEL_PARALLEL  # a slice is read and written at once, under the GIL or bytearray's own lock


def can_multi_conn(h):
    return True  # all connections are to the same memory


def can_fua(h):
    return nbdkit.FUA_NATIVE  # what is written cannot be lost before the process is


def open(readonly):
    return None  # what a connection needs to know


def get_size(h):
    return len(disk)


def pread(h, buf, offset, flags):
    buf[:] = disk[offset : offset + len(buf)]


def pwrite(h, buf, offset, flags):
    disk[offset : offset + len(buf)] = buf


def flush(h, flags):
    pass


def zero(h, count, offset, flags):
    disk[offset : offset + count] = bytes(count)


def trim(h, count, offset, flags):
    zero(h, count, offset, flags)
