"""Prints the path of the Python that runs this, and that of its shared libpython, or "-"."""

import os
import sys
import sysconfig

get = sysconfig.get_config_var
# Debian's static interpreter has its library in a package of its own, under one of these.
directories = [get("LIBDIR"), os.path.join(get("LIBDIR") or "", get("MULTIARCH") or "")]
names = [get("INSTSONAME"), get("LDLIBRARY")]
candidates = [os.path.join(d, n) for n in names if n and ".so" in n for d in directories if d]

print(sys.executable)
print(next((path for path in candidates if os.path.exists(path)), "-"))
