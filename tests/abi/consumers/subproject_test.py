"""The examples with the library as their Meson subproject."""

import shutil
import unittest

from consumers import PYTHON, SOURCE, Consumer, command, python_headers, run
from executor_tests import ExecutorTests
from host_tests import HostTests
from words_tests import WordsTests


class SubprojectTest(Consumer, HostTests, WordsTests, ExecutorTests):
    @classmethod
    def build(cls):
        project, build = cls.folder / "project", cls.folder / "build"
        shutil.copytree(SOURCE / "tests/abi/consumers/project", project)
        shutil.copytree(SOURCE / "examples", project / "examples")
        (project / "subprojects").mkdir()
        (project / "subprojects/pyattach").symlink_to(SOURCE)
        meson = command("MESON", "meson")
        run(*meson, "setup", "--wrap-mode=forcefallback", f"-Dpython={PYTHON}", build, project)
        run(*meson, "compile", "-C", build)
        cls.host = build / "examples/host/host"
        cls.plugin = build / "examples/plugin/definitions.so"
        if python_headers():
            cls.modules = [build / "examples/extension", build / "examples/extension_cpp"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
