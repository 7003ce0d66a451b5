"""Says where this Python's headers are, and how the file name of an extension module of its ends."""

import sysconfig

print(sysconfig.get_path("include"))
print(sysconfig.get_config_var("EXT_SUFFIX"))
