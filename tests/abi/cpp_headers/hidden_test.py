"""Looks at the object file of hidden.cpp: the types by which exceptions are caught have default visibility, and nothing else of the
library's has.

usage: hidden_test.py OBJECT-OR-ARCHIVE
"""

import subprocess
import sys

output = subprocess.run(["readelf", "-sW", sys.argv[1]], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
visibility = {}
for line in output.splitlines():
    words = line.split()
    if len(words) >= 8 and "pyattach" in words[7] and words[4] in ("WEAK", "GLOBAL") and words[6] != "UND":
        visibility[words[7]] = words[5]

for name in ("5error", "12python_error", "10cast_error"):
    for kind in ("_ZTI", "_ZTS"):
        symbol = f"{kind}N8pyattach4abi1{name}E"
        assert visibility.get(symbol) == "DEFAULT", (symbol, visibility.get(symbol))
# Of functions, only those of these classes.
shown = [name for name, seen in visibility.items() if seen == "DEFAULT" and "error" not in name]
assert not shown, shown
