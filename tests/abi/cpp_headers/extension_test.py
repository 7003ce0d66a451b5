"""usage: extension_test.py DIRECTORY NAME"""

import importlib
import sys

sys.path.insert(0, sys.argv[1])
extension = importlib.import_module(sys.argv[2])

assert extension.evaluated("[1, 2]") == [1, 2]
heard = []
extension.call_on_thread(heard.append)
extension.call_in_gap(heard.append)
assert heard == ["from a thread", "inside a gap"], heard
try:
    extension.fails()
except TypeError as error:
    assert str(error) == "'int' object cannot be cast to 'str'", error
else:
    raise AssertionError("it did not fail")
