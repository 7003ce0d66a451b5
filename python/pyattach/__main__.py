"""Runs a script, a module or a command with the calls of extension modules routed to libpyattach.

usage: python3 -m pyattach [--verbose[=FILE]] [--only PATTERN]... [--except PATTERN]...
                           [--trace FILE [--format FORMAT] [--signal SIGNAL]] SCRIPT [ARGUMENT]...
       python3 -m pyattach [OPTION]... -m MODULE [ARGUMENT]...
       python3 -m pyattach [OPTION]... -c COMMAND [ARGUMENT]...

  --only PATTERN     route only what the pattern matches: a file's name, or its path if the pattern has a slash
  --except PATTERN   do not route what the pattern matches
  --verbose[=FILE]   say on standard error, or at the end of a file, what is routed
  --trace FILE       write a trace when Python has ended: who was attached, and who waited for whom. %p in the name
                     stands for the number of the process; without it fork children write none
  --format FORMAT    chrome, perfetto or html. Without it the end of the file's name says which: .json, .pftrace or
                     .perfetto, or .html, which is a page for a browser
  --signal SIGNAL    the trace is also written when this signal comes: a name, such as USR1, or a number

In a pattern, * stands for any text, ? for one character, and [...] for one of several. The script runs as with
`python3 SCRIPT`. Programs that it starts are not routed: for that, see pyattach-run and pyattach-trace.
"""

import sys

from pyattach import RoutingError, TraceError, _run, route, trace

KINDS = {"--trace": "file", "--format": "format", "--signal": "signal"}


def main(words):
    options = {"only": None, "except_": None, "verbose": None}
    patterns = {"--only": "only", "--except": "except_"}
    values = dict.fromkeys(KINDS)
    while words and words[0].startswith("-") and words[0] not in ("-", "-c", "-m"):
        option, equals, value = words.pop(0).partition("=")
        if option in ("-h", "--help") and not equals:
            print(__doc__.strip())
            return
        if option in ("-v", "--verbose"):
            options["verbose"] = value if equals else True
        elif option in patterns or option in values:
            if not equals and not words:
                _run.stop(f"{option} needs a {'pattern' if option in patterns else KINDS[option]}")
            if not equals:
                value = words.pop(0)
            if option in patterns:
                options[patterns[option]] = (options[patterns[option]] or []) + [value]
            else:
                values[option] = value
        elif option == "--" and not equals:
            break
        else:
            _run.stop(f"there is no option {option}")
    if not words:
        _run.stop("the script is missing")
    if words[0] in ("-c", "-m") and len(words) == 1:
        _run.stop(f"{words[0]} needs {'a command' if words[0] == '-c' else 'a module'}")
    file = values.pop("--trace")
    for option, value in values.items():
        if file is None and value is not None:
            _run.stop(f"{option} is for a trace: name its file with --trace")
    try:
        route(**options)
        if file is not None:
            trace(file, format=values["--format"], signal=values["--signal"])
    except (RoutingError, TraceError, ValueError) as error:
        _run.stop(str(error), "")
    _run.run(words)


main(sys.argv[1:])
