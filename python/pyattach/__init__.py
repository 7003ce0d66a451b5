"""Routes the calls of unmodified extension modules to libpyattach, in the running Python.

`PyGILState_Ensure`, `PyEval_SaveThread` and the like of modules that were linked without libpyattach reach it once
`route()` was called, or with `python3 -m pyattach script.py`. The threads of their libraries then keep their thread
states, and the end of Python waits for those that are inside. See docs/adopt.md of libpyattach. `trace()` writes down
what the threads do: see docs/observe.md. Importing this package routes nothing.
"""

import ctypes
import os
from collections import namedtuple

__all__ = ["RoutedObject", "RoutingError", "TraceError", "library_path", "route", "routed", "trace", "unroute"]

RoutedObject = namedtuple("RoutedObject", ["path", "functions", "words"])
RoutedObject.__doc__ = """A loaded file whose calls are routed.

path: that of the file. functions: the names of the functions that it calls. words: through how many words of its memory
it calls them.
"""

_library = None


class RoutingError(RuntimeError):
    """The calls cannot be routed: the library is missing, or memory is short."""


class TraceError(RuntimeError):
    """The trace cannot be started: one records already, or memory is short."""


def library_path():
    """The path of libpyattach-preload.so: PYATTACH_PRELOAD_LIBRARY, or where it was installed with this package."""
    named = os.environ.get("PYATTACH_PRELOAD_LIBRARY")
    if named:
        return named
    try:
        from ._location import LIBRARY
    except ImportError:
        raise RoutingError("libpyattach-preload.so was not installed with this package. "
                           "Name it in the environment variable PYATTACH_PRELOAD_LIBRARY.") from None
    return os.path.normpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), LIBRARY))


def _load():
    global _library
    if _library is None:
        path = library_path()
        try:
            # Not CDLL, which releases the GIL around each call: other threads would run Python code meanwhile.
            library = ctypes.PyDLL(path)
        except OSError as error:
            raise RoutingError(f"the library cannot be loaded: {error}. Install it there, or name it in the "
                               "environment variable PYATTACH_PRELOAD_LIBRARY.") from None
        library.pyattach_preload_route.argtypes = [ctypes.c_char_p] * 3
        number = ctypes.POINTER(ctypes.c_uint)
        library.pyattach_preload_describe.argtypes = [
            ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t, number, number]
        library.pyattach_preload_trace.argtypes = [
            ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        library.pyattach_preload_function.restype = ctypes.c_char_p
        _library = library
    return _library


def _joined(patterns, name):
    if patterns is None:
        return None
    patterns = [patterns] if isinstance(patterns, (str, bytes, os.PathLike)) else list(patterns)
    encoded = [os.fsencode(pattern) for pattern in patterns]
    for pattern in encoded:
        if not pattern or b":" in pattern or b"\0" in pattern:
            raise ValueError(f"{name}: {os.fsdecode(pattern)!r} is no pattern. A pattern is a file's name or path, in "
                             "which * stands for any text. It is not empty, and has no colon: put a ? in its place.")
    return b":".join(encoded)


def route(only=None, except_=None, verbose=None):
    """Routes the calls of the loaded files, except CPython's own, and of each file that is loaded later.

    only, except_: a pattern, or several. If `only` is given, only what one of its patterns matches is routed. What a
    pattern of `except_` matches is not. A pattern with a slash is for a file's path, another one for its name.
    verbose: True to say on standard error what is routed, False not to, or the path of a file; None leaves it as it is.

    What an earlier call has routed stays so. Calls that are under way on other threads are not disturbed.
    Raises ValueError for a pattern that is none, and RoutingError if not all calls could be routed.
    """
    if verbose is None or isinstance(verbose, bool):
        said = {None: None, True: b"1", False: b"0"}[verbose]
    else:
        said = os.fsencode(os.path.abspath(verbose))
    status = _load().pyattach_preload_route(_joined(only, "only"), _joined(except_, "except_"), said)
    if status == 2:
        raise RoutingError(f"the file {os.fspath(verbose)!r} cannot be opened: name one that may be written")
    if status:
        raise RoutingError("not all calls could be routed: memory is short, or a page cannot be written")


def trace(path, format=None, signal=None):
    """Starts a trace of this process, which is written when the process ends: who had Python, and who waited for whom.

    path: the file, in which %p stands for the number of the process. Without %p fork children write none.
    format: "chrome", "perfetto" or "html"; None: what the end of the path says (.json, .pftrace, .perfetto, .html).
    signal: a number or a name, such as "USR1": the trace is also written when this signal comes, which is then not
    Python's. A fork child writes none when it comes.

    Native threads of code that is not linked to libpyattach are in it from route() on. A process that ends by a signal
    or by os._exit() writes none. Raises ValueError for a file that cannot be written, and for a format or a signal that
    is none, and TraceError if a trace records already or memory is short.
    """
    path = os.fsencode(path)
    if b"\0" in path:
        raise ValueError("the name of the trace's file has a byte of zero. Give one that may be written.")
    said = ctypes.create_string_buffer(8192)
    words = [None if word is None else os.fsencode(str(word)) for word in
             (format, None if signal is None else signal if isinstance(signal, str) else int(signal))]
    status = _load().pyattach_preload_trace(path, *words, said, len(said))
    if status:
        raise (ValueError if status == 1 else TraceError)(os.fsdecode(said.value))


def unroute():
    """Undoes route(), also of what pyattach-run and LD_PRELOAD have routed.

    Calls made from now on are CPython's. What a thread has opened while it was routed, the thread still ends in
    libpyattach. So may be called at any time.
    """
    if _library is None and "libpyattach-preload" not in os.environ.get("LD_PRELOAD", ""):
        return
    if _load().pyattach_preload_unroute():
        raise RoutingError("routing could not be undone for all calls: a page cannot be written")


def routed():
    """A list of the files that are routed now: RoutedObject(path, functions, words)."""
    if _library is None and "libpyattach-preload" not in os.environ.get("LD_PRELOAD", ""):
        return []
    library, found = _load(), []
    path, words, functions = ctypes.create_string_buffer(4096), ctypes.c_uint(), ctypes.c_uint()
    while library.pyattach_preload_describe(len(found), path, len(path), words, functions):
        names = (library.pyattach_preload_function(number) for number in range(32) if functions.value >> number & 1)
        found.append(RoutedObject(os.fsdecode(path.value), tuple(name.decode() for name in names if name), words.value))
    return found
