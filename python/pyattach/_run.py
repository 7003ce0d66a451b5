"""Runs a script, a module or a command as Python itself does when it is started with it.

The frames of this package are not in the traceback of an exception that ends the script. Everything else that ends a
script (sys.exit, an interrupt) goes through as it is.
"""

import builtins
import io
import linecache
import os
import pkgutil
import runpy
import sys
import types


def stop(sentence, more="See python3 -m pyattach --help."):
    """Misuse of the command: says so, and ends it with status 2."""
    sys.stdout.flush()
    print(f"pyattach: {sentence}{'.' * (not sentence.endswith('.'))} {more}".rstrip(), file=sys.stderr)
    sys.exit(2)


def is_path_safe():
    """Whether Python puts no folder of the script's in front of sys.path."""
    return bool(getattr(sys.flags, "safe_path", False) or sys.flags.isolated)


def set_path(first):
    """`python3 -m` has put the current folder there, and `python3 SCRIPT` would have put this one."""
    if not is_path_safe():
        sys.path[0] = first


def new_main():
    """The module __main__ as Python makes it. The one before is this package's, and stays alive with its frames."""
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def without_own_frames(traceback, last):
    """What comes after the frame `last` and this file's other ones; None, if the script has not begun."""
    while traceback is not None and traceback.tb_frame is not last:
        traceback = traceback.tb_next
    while traceback is not None and traceback.tb_frame.f_code.co_filename == last.f_code.co_filename:
        traceback = traceback.tb_next
    return traceback


def execute(function, *arguments):
    """Calls the function. An exception goes on up, and is shown without the frames that are below it."""
    try:
        function(*arguments)
    except (Exception, KeyboardInterrupt) as error:
        hide_frames(error, sys._getframe())
        raise


def hide_frames(raised, frame):
    """Python shows the exception once it has left this package, by the hook that the script has set."""
    hook = sys.excepthook

    def show(kind, error, traceback):
        if error is raised:
            traceback = without_own_frames(traceback, frame)
            error.__traceback__ = traceback
        sys.last_traceback = traceback
        hook(kind, error, traceback)

    sys.excepthook = show


def read_code(path):
    with io.open_code(path) as file:
        code = pkgutil.read_code(file)  # of a .pyc
        if code is not None:
            return code
    with io.open_code(path) as file:
        return compile(file.read(), path, "exec", dont_inherit=True)


def run_code(source, name, main):
    exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)


def run_file(path, main):
    code = read_code(path)
    exec(code, main.__dict__)


def run_script(path):
    path = os.path.join(os.getcwd(), path)
    if pkgutil.get_importer(path) is not None:  # a folder or a zip file with a __main__.py
        if is_path_safe():
            sys.path.insert(0, path)
        else:
            sys.path[0] = path
        new_main()
        execute(runpy._run_module_as_main, "__main__", False)
        return
    try:
        open(path, "rb").close()
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        sys.exit(2)
    set_path(os.path.dirname(os.path.realpath(path)))
    main = new_main()
    main.__file__ = path
    if sys.version_info < (3, 15):  # which has no __cached__
        main.__cached__ = None
    from importlib.machinery import SourceFileLoader, SourcelessFileLoader
    loader = SourcelessFileLoader if path.endswith(".pyc") else SourceFileLoader
    main.__loader__ = loader("__main__", main.__file__)
    execute(run_file, main.__file__, main)


def run_command(command):
    from importlib.machinery import BuiltinImporter
    set_path("")
    main = new_main()
    main.__loader__ = BuiltinImporter
    source = command + "\n"
    if sys.version_info >= (3, 13):  # which shows the lines of a command in tracebacks
        linecache.cache["<string>"] = (len(source), None, source.splitlines(True), "<string>")
    execute(run_code, source, "<string>", main)


def run(words):
    """words: what follows python3 on a command line: -c, -m, or a script, with their arguments."""
    kind = words[0]
    if kind == "-c":
        sys.argv = ["-c", *words[2:]]
        run_command(words[1])
    elif kind == "-m":
        sys.argv = ["-m", *words[2:]]
        new_main()
        execute(runpy._run_module_as_main, words[1], True)
    elif kind == "-":
        sys.argv = list(words)
        set_path("")
        main = new_main()
        execute(run_code, sys.stdin.buffer.read(), "<stdin>", main)
    else:
        sys.argv = list(words)
        run_script(kind)
