"""The counters of the libpyattach that routes the calls of this process."""

import ctypes
import os


class Stats(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t)] + [(name, ctypes.c_uint64) for name in (
        "attaches", "nested", "refused", "detaches", "states_created")]


def stats():
    """How often a thread was attached, and how many thread states were made for it; None: nothing is routed here."""
    try:
        library = ctypes.CDLL("libpyattach.so.0", os.RTLD_NOLOAD | os.RTLD_NOW)  # where it is loaded, and nowhere else
    except OSError:
        return None
    now = Stats(struct_size=ctypes.sizeof(Stats))
    library.pyattach_stats_get(ctypes.byref(now))
    return {"attaches": now.attaches, "states_created": now.states_created}
