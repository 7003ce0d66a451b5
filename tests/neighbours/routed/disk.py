"""The script of nbdkit's Python plugin: a disk in memory, with what its threads have called at `RESULT`.

usage: nbdkit python disk.py path=FOLDER result=RESULT
"""

import sys

import nbdkit

API_VERSION = 2
content = bytearray(1 << 20)


def config(key, value):
    global calls, result
    if key == "path":
        sys.path.insert(0, value)
        import calls
    else:
        result = value


def thread_model():
    return nbdkit.THREAD_MODEL_PARALLEL


def open(readonly):
    return None


def get_size(h):
    return len(content)


def pread(h, buf, offset, flags):
    calls.note(offset)
    buf[:] = content[offset : offset + len(buf)]


def pwrite(h, buf, offset, flags):
    calls.note(offset)
    content[offset : offset + len(buf)] = buf


def cleanup():
    import io
    with io.open(result, "w") as file:
        file.write(calls.summary())
