"""Runs a script, a module or a command with the calls of extension modules routed to libpyattach.

usage: python3 -m pyattach [--verbose[=FILE]] [--only PATTERN]... [--except PATTERN]... SCRIPT [ARGUMENT]...
       python3 -m pyattach [OPTION]... -m MODULE [ARGUMENT]...
       python3 -m pyattach [OPTION]... -c COMMAND [ARGUMENT]...

  --only PATTERN     route only what the pattern matches: a file's name, or its path if the pattern has a slash
  --except PATTERN   do not route what the pattern matches
  --verbose[=FILE]   say on standard error, or at the end of a file, what is routed

In a pattern, * stands for any text, ? for one character, and [...] for one of several. The script runs as with
`python3 SCRIPT`. Programs that it starts are not routed: for that, see pyattach-run.
"""

import sys

from pyattach import RoutingError, _run, route


def main(words):
    options = {"only": None, "except_": None, "verbose": None}
    names = {"--only": "only", "--except": "except_"}
    while words and words[0].startswith("-") and words[0] not in ("-", "-c", "-m"):
        option, equals, value = words.pop(0).partition("=")
        if option in ("-h", "--help") and not equals:
            print(__doc__.strip())
            return
        if option in ("-v", "--verbose"):
            options["verbose"] = value if equals else True
        elif option in names:
            if not equals and not words:
                _run.stop(f"{option} needs a pattern")
            options[names[option]] = (options[names[option]] or []) + [value if equals else words.pop(0)]
        elif option == "--" and not equals:
            break
        else:
            _run.stop(f"there is no option {option}")
    if not words:
        _run.stop("the script is missing")
    if words[0] in ("-c", "-m") and len(words) == 1:
        _run.stop(f"{words[0]} needs {'a command' if words[0] == '-c' else 'a module'}")
    try:
        route(**options)
    except (RoutingError, ValueError) as error:
        _run.stop(str(error), "")
    _run.run(words)


main(sys.argv[1:])
