"""Prints about the Python that runs this, a line each: include directory, directory of modules' suffix, whether its
executable holds CPython itself ("executable") or uses libpython ("library"), and the version as in 3.11."""

import sys
import sysconfig

with open("/proc/self/maps") as maps:
    is_in_library = any("/libpython" in line for line in maps)
print(sysconfig.get_path("include"))
print(sysconfig.get_config_var("EXT_SUFFIX"))
print("library" if is_in_library else "executable")
print("%d.%d" % sys.version_info[:2])
