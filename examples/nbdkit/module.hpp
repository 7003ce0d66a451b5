// The module `nbdkit`, which scripts import: its text, and the constants that it contains before it is executed.
#pragma once

#include <utility>

#include <nbdkit-common.h>

inline constexpr char module_source[] = R"(
import ctypes, errno, io, os, sys, traceback

server = ctypes.PyDLL(None)  # nbdkit itself; what is called here does not wait, so it does not detach
server.nbdkit_export_name.restype = ctypes.c_char_p
server.nbdkit_parse_size.restype = ctypes.c_int64
shutdown = server.nbdkit_shutdown
note_error = ctypes.PYFUNCTYPE(None, ctypes.c_int)(note_error)

def set_error(number):
    note_error(number)
    server.nbdkit_set_error(number)

def debug(text):
    server.nbdkit_debug(b"%s", str(text).encode())

def export_name():
    return server.nbdkit_export_name().decode()

def parse_size(text):
    size = server.nbdkit_parse_size(text.encode())
    if size == -1:
        raise ValueError(f"{text!r} is no size")
    return size

def load_script(path):
    main = sys.modules["__main__"]
    main.__file__ = os.path.abspath(path)  # a daemon changes its directory
    with io.open_code(path) as file:
        exec(compile(file.read(), main.__file__, "exec"), vars(main))
    if getattr(main, "API_VERSION", 1) != 2:
        raise ValueError("the script has to say API_VERSION = 2")
    for name in "open", "get_size", "pread":
        if not callable(getattr(main, name, None)):
            raise ValueError(f"the script has no function {name}, which nbdkit needs")
    return vars(main)

def report(function, error, number):
    if not number and isinstance(error, OSError):
        number = error.errno or 0
    if function == "zero" and number in (errno.EOPNOTSUPP, errno.ENOTSUP):
        debug("zero is not supported: nbdkit writes zeros instead")
    else:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        server.nbdkit_error(b"%s: %s", function.encode(), text.rstrip().encode("utf-8", "replace"))
    if number:
        server.nbdkit_set_error(number)
)";
inline constexpr std::pair<const char *, int> constants[] = {
    {"THREAD_MODEL_SERIALIZE_CONNECTIONS", NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS},
    {"THREAD_MODEL_SERIALIZE_ALL_REQUESTS", NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS},
    {"THREAD_MODEL_SERIALIZE_REQUESTS", NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS},
    {"THREAD_MODEL_PARALLEL", NBDKIT_THREAD_MODEL_PARALLEL},
    {"FLAG_MAY_TRIM", NBDKIT_FLAG_MAY_TRIM},
    {"FLAG_FUA", NBDKIT_FLAG_FUA},
    {"FLAG_REQ_ONE", NBDKIT_FLAG_REQ_ONE},
    {"FLAG_FAST_ZERO", NBDKIT_FLAG_FAST_ZERO},
    {"FUA_NONE", NBDKIT_FUA_NONE},
    {"FUA_EMULATE", NBDKIT_FUA_EMULATE},
    {"FUA_NATIVE", NBDKIT_FUA_NATIVE}};
