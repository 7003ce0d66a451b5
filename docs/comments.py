"""Doxygen's input filter for the public headers: makes comments of its own kind out of plain ones.

    the first comment of a file, and one that opens a section     is about the file
    one that begins a line, also inside a class                   is about what follows, up to a blank line or the next comment:
                                                                  each declaration of such a run of lines gets it
    one behind code                                               is about that code
    a line of a comment that begins with a status and a colon     is an item of a list

Line numbers stay as they are. The inline namespace is for linkers, not for readers.
"""

import re
import sys
from pathlib import Path

SECTION = re.compile(r"^( *)/\* --- (.*?) ?-+( \*/)?$")
OPENING = re.compile(r"^( *)/\* ?(?=\S)")
DECLARATION = re.compile(r"( *)[A-Za-z_\[]")
BEHIND = re.compile(r"(?<=[;{,\w]) +/\* ")
STATUS = re.compile(r"^( *\* )(?=PYATTACH_[A-Z_]+(, PYATTACH_[A-Z_]+)*: )")
INVISIBLE = re.compile(r"inline namespace abi1 {|} // namespace abi1")


def words_of(comment):
    """A comment as one line of text."""
    return " ".join(filter(None, (line.strip().lstrip("/*").removesuffix("*/").strip() for line in comment)))


def is_finished(line):
    """Whether a declaration, or a definition in one line, ends with this line."""
    code = re.sub(r" *(//.*|/\*.*\*/)$", "", line)
    return code.endswith((";", "}"))


def filtered(name, lines):
    comment = []  # its lines, while one is open
    group = None  # the words and the indentation of the comment that holds for the declarations here
    is_ended = False  # the last declaration has ended
    for number, line in enumerate(lines):
        if comment:
            comment.append(line)
            line = STATUS.sub(r"\1- ", line)
        elif not line.strip():
            group = None
        elif OPENING.match(line):
            comment, section = [line], SECTION.match(line)
            if number == 0:
                line = OPENING.sub(f"/** @file {name} ", line)
            elif section and section[1]:
                line = f"{section[1]}/**{section[3] or ''}"
                comment = [line]
            elif section:
                line = f"/** @file {name} @par {section[2]}{section[3] or ''}"
            else:
                line = OPENING.sub(r"\1/** ", line)
        elif INVISIBLE.fullmatch(line):
            line = ""
        else:
            begins = DECLARATION.match(line)
            is_macro = line.startswith("#define") and not line.endswith("\\")
            if group and is_ended and is_macro:
                line += f" /**< {group[0]} */"
            elif group and is_ended and begins and begins[1] == group[1] and not line.endswith("= delete;"):
                line = f"{group[1]}/** {group[0]} */ {line.lstrip()}"
            if not line.startswith("#"):
                is_ended = is_finished(line)
            elif is_macro:
                is_ended = True
            line = BEHIND.sub(r" /**< ", line)
        if comment and line.endswith("*/"):
            group = words_of(comment), re.match(" *", comment[0])[0]
            comment, is_ended = [], False
        yield line


header = Path(sys.argv[1])
print("\n".join(filtered(header.name, header.read_text().splitlines())))
