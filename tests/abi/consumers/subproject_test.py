"""The examples with the library as their Meson subproject."""

import json
import os
import re
import shutil
import unittest
from pathlib import Path

from consumers import PYTHON, SOURCE, Consumer, command, libpython, needed, python_headers, run
from host_tests import HostTests
from words_tests import WordsTests


# What the other examples do is tested with the installed library.
class SubprojectTest(Consumer, HostTests, WordsTests):
    @classmethod
    def build(cls):
        project, build = cls.folder / "project", cls.folder / "build"
        shutil.copytree(SOURCE / "tests/abi/consumers/project", project)
        shutil.copytree(SOURCE / "examples", project / "examples")
        shutil.copytree(SOURCE / "tests/abi/consumers/small", project / "small")
        (project / "subprojects").mkdir()
        shutil.copy(SOURCE / "docs/pyattach.wrap", project / "subprojects")
        (project / "subprojects/pyattach").symlink_to(SOURCE)
        meson = command("MESON", "meson")
        run(*meson, "setup", "--wrap-mode=forcefallback", f"-Dpython={PYTHON}", build, project)
        run(*meson, "compile", "-C", build)
        cls.outputs, cls.project = build, project
        cls.meson = meson
        cls.host = build / "examples/host/host"
        cls.plugin = build / "examples/plugin/definitions.so"
        if python_headers():
            cls.modules = [build / "examples/extension", build / "examples/extension_cpp", build / "examples/extension_cython"]

    def introspect(self, build, what):
        return json.loads(run(*self.meson, "introspect", f"--{what}", build).stdout)

    def test_of_the_subproject_the_library_alone_is_built(self):
        ours = [target for target in self.introspect(self.outputs, "targets") if target["subproject"] == "pyattach"]
        self.assertEqual({"pyattach", "pyattach-gilstate"}, {target["name"] for target in ours})
        self.assertEqual([], self.introspect(self.outputs, "tests"))
        self.assertNotIn("catch2", [dependency["name"] for dependency in self.introspect(self.outputs, "dependencies")])

    def test_what_the_readme_tells_users_to_build_is_the_library_alone(self):
        line = re.search(r"^meson setup build (.*) && meson install", (SOURCE / "README.md").read_text(), re.M)
        build = self.folder / "plain"
        run(*self.meson, "setup", build, SOURCE, f"-Dpython={PYTHON}", *line[1].split())
        self.assertEqual({"pyattach", "pyattach-gilstate", "pyattach-preload", "pyattach-run", "pyattach-trace"},
                         {target["name"] for target in self.introspect(build, "targets")})
        self.assertEqual([], self.introspect(build, "tests"))
        self.assertNotIn("catch2", [dependency["name"] for dependency in self.introspect(build, "dependencies")])

    def test_the_wrap_file_provides_the_static_library(self):
        host = self.outputs / "host_static"
        self.assertEqual("45\n", run(host, libpython()).stdout)
        self.assertEqual([], [name for name in needed(host) if "py" in name])

    def test_a_module_that_has_the_static_library_inside_shows_its_own_names_alone(self):
        shown = run("nm", "-D", "--defined-only", self.outputs / "libplugin_static.so").stdout
        self.assertIn("plugin", shown)
        self.assertNotRegex(shown, r" pyattach_")

    def test_where_all_libraries_are_to_be_static_so_is_this_one(self):
        build, meson = self.folder / "all_static", command("MESON", "meson")
        run(*meson, "setup", "--wrap-mode=forcefallback", f"-Dpython={PYTHON}", "-Ddefault_library=static", build, self.project)
        run(*meson, "compile", "-C", build, "definitions")
        self.assertEqual([], [name for name in needed(build / "examples/plugin/definitions.so") if "py" in name])

    def test_the_wrap_file_provides_the_library_with_its_python(self):
        host = self.outputs / "host_embed"
        self.assertTrue(any(name.startswith("libpython") for name in needed(host)), "the linker left Python out")
        self.assertEqual("45\n", run(host, env={**os.environ, "LD_LIBRARY_PATH": str(Path(libpython()).parent)}).stdout)

    def test_without_a_shared_libpython_the_one_with_python_is_refused_and_the_reason_given(self):
        done = run(*command("MESON", "meson"), "setup", "--wrap-mode=forcefallback", f"-Dpython={PYTHON}",
                   "-Dpyattach:python=no-such-python", self.folder / "without", self.project, expect=None)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("no-such-python has no shared libpython: choose another with -Dpython=", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
