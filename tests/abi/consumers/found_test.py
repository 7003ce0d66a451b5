"""What pkg-config and CMake find of an installed library, and what they say where something is missing."""

import contextlib
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from consumers import SOURCE, command, libpython, needed, run
from installed import Tree

SMALL = SOURCE / "tests/abi/consumers/small"
VERSION = run(SOURCE / "tools/version").stdout.strip()
MAJOR, MINOR, PATCH = map(int, VERSION.split("."))


class Found(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cleanup = contextlib.ExitStack()
        cls.addClassCleanup(cleanup.close)
        cls.folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyattach-found-")))
        cls.tree = Tree(cls.folder)


class PkgConfigTest(Found):
    def ask(self, *words):
        return run(*command("PKG_CONFIG", "pkg-config"), *words, env=self.tree.environment()).stdout.split()

    def test_static_names_all_that_the_archive_needs_where_there_is_no_shared_library(self):
        archive = self.folder / "archive only"  # a path with a space, too
        archive.mkdir()
        shutil.copy(self.tree.libraries / "libpyattach.a", archive)
        flags = self.ask("--cflags", "--libs", "--static", "pyattach")
        flags = [f"-L{archive}" if flag.startswith("-L") else flag for flag in flags]
        host = self.folder / "host"
        run(*command("CC", "cc"), "-std=gnu99", SMALL / "host.c", "-o", host, "-Wl,--no-undefined", *flags)
        self.assertEqual([], [name for name in needed(host) if "py" in name])
        self.assertEqual("45\n", run(host, libpython()).stdout)

    def test_without_static_only_the_library_is_linked(self):
        self.assertEqual(["-lpyattach"], [flag for flag in self.ask("--libs", "pyattach") if not flag.startswith("-L")])

    def test_each_file_names_the_version_of_the_headers(self):
        names = sorted(path.stem for path in self.tree.pkgconfig.glob("*.pc"))
        self.assertIn("pyattach-static", names)
        self.assertEqual([VERSION] * len(names), [self.ask("--modversion", name)[0] for name in names])


@unittest.skipUnless(shutil.which("cmake"), "THERE IS NO CMake HERE (on Debian: apt install cmake)")
class CMakeTest(Found):
    def configure(self, text, tree=None, expect=0, language="C"):
        """What CMake says of a project that has these lines."""
        project = Path(tempfile.mkdtemp(dir=self.folder))
        (project / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.13...3.25)\nproject(it {language})\n{text}\n")
        done = run("cmake", "-GNinja", "-S", project, "-B", project / "build", env=(tree or self.tree).environment(), expect=None)
        self.assertEqual(expect == 0, done.returncode == 0, done.stdout + done.stderr)
        return " ".join((done.stdout + done.stderr).split())

    def changed(self, old, new):
        """A copy of the tree whose config file has `new` in place of `old`."""
        copy = Path(tempfile.mkdtemp(dir=self.folder)) / "usr"
        shutil.copytree(self.tree.prefix, copy, symlinks=True)
        tree = Tree.__new__(Tree)
        tree.place(copy)
        config = next(copy.rglob("pyattach-config.cmake"))
        text = config.read_text()
        self.assertIn(old, text)
        config.write_text(text.replace(old, new))
        return tree

    def libpython_line(self):
        config = next(self.tree.prefix.rglob("pyattach-config.cmake")).read_text()
        return next(line for line in config.splitlines() if line.startswith("set(pyattach_libpython "))

    def test_versions_that_will_do_are_the_same_major_and_not_newer(self):
        good = ["", f"{MAJOR}", f"{MAJOR}.{MINOR}", VERSION, f"{VERSION} EXACT", f"{MAJOR}.{MINOR}...{MAJOR + 1}",
                f"{MAJOR}.{MINOR}...<{MAJOR + 1}", f"{MAJOR}...{VERSION}"]
        bad = [f"{MAJOR}.{MINOR}.{PATCH + 1}", f"{MAJOR}.{MINOR + 1}", f"{MAJOR + 1}", f"{MAJOR}.{MINOR}.{PATCH + 1} EXACT",
               f"{MAJOR}...<{VERSION}", f"{MAJOR + 1}...{MAJOR + 2}"]
        lines = []
        for asked in good + bad:
            lines.append(f"unset(pyattach_DIR CACHE)\nfind_package(pyattach {asked} CONFIG QUIET)\n"
                         f'message("[{asked}] ${{pyattach_FOUND}}")')
        said = self.configure("\n".join(lines))
        for asked in good:
            self.assertRegex(said, rf"\[{asked}\] (1|TRUE)\b")
        for asked in bad:
            self.assertRegex(said, rf"\[{asked}\] (0|FALSE)\b")

    def test_a_version_that_is_refused_is_named(self):
        said = self.configure(f"find_package(pyattach {MAJOR + 1} CONFIG REQUIRED)", expect=1)
        self.assertIn(f'compatible with requested version "{MAJOR + 1}"', said)
        self.assertIn(f"version: {VERSION}", said)

    def test_a_library_for_other_processors_is_passed_by(self):
        said = self.configure("set(CMAKE_SIZEOF_VOID_P 3)\nfind_package(pyattach CONFIG REQUIRED)", expect=1)
        self.assertIn(f"version: {VERSION} (for pointers of {8 if sys.maxsize > 2**32 else 4} bytes)", said)

    def test_an_old_cmake_is_told_what_is_needed(self):
        said = self.configure("set(CMAKE_VERSION 3.12.4)\nfind_package(pyattach CONFIG REQUIRED)", expect=1)
        self.assertIn(f"libpyattach {VERSION} needs CMake 3.13 or newer; this is 3.12.4.", said)

    def test_found_twice_is_found_once(self):
        self.configure("find_package(pyattach CONFIG REQUIRED)\nfind_package(pyattach CONFIG REQUIRED COMPONENTS shared static)")

    def test_a_project_in_c_alone_links_the_archive(self):
        self.configure("find_package(pyattach CONFIG REQUIRED)\n"
                       "try_run(ran compiled ${CMAKE_BINARY_DIR}/try SOURCES " f'"{SMALL / "host.c"}"'
                       " LINK_LIBRARIES pyattach::static RUN_OUTPUT_VARIABLE said ARGS " f'"{libpython()}")\n'
                       'if(NOT said STREQUAL "45\\n")\nmessage(FATAL_ERROR "${compiled} ${said}")\nendif()')

    def test_what_cmake_installs_finds_the_library_only_by_a_run_path_that_it_is_told(self):
        for told in (), (f"-DCMAKE_INSTALL_RPATH={self.tree.libraries}",):
            project = Path(tempfile.mkdtemp(dir=self.folder))
            (project / "CMakeLists.txt").write_text(
                "cmake_minimum_required(VERSION 3.13...3.25)\nproject(it C)\nfind_package(pyattach CONFIG REQUIRED)\n"
                f'add_executable(host "{SMALL / "host.c"}")\ntarget_link_libraries(host pyattach::pyattach)\n'
                "install(TARGETS host DESTINATION bin)\n")
            run("cmake", "-GNinja", "-S", project, "-B", project / "build", f"-DCMAKE_INSTALL_PREFIX={project}", *told,
                env=self.tree.environment())
            run("cmake", "--build", project / "build", "--target", "install")
            self.assertEqual("45\n", run(project / "build/host", libpython()).stdout)
            done = run(project / "bin/host", libpython(), expect=None)
            self.assertEqual("45\n" if told else "", done.stdout)
            self.assertIn("" if told else "libpyattach.so.0: cannot open shared object file", done.stderr)

    def test_embed_without_a_shared_libpython_is_refused_with_the_reason(self):
        tree = self.changed(self.libpython_line(), 'set(pyattach_libpython "")')
        said = self.configure("find_package(pyattach CONFIG REQUIRED COMPONENTS embed)", tree, expect=1)
        self.assertRegex(said, r"there is no pyattach::embed: libpyattach was configured with the Python \S+, which has no shared "
                               r"libpython\. Configure libpyattach with another Python \(-Dpython=\)")
        self.configure("find_package(pyattach CONFIG REQUIRED OPTIONAL_COMPONENTS embed)\n"
                       "if(pyattach_embed_FOUND OR NOT pyattach_FOUND)\nmessage(FATAL_ERROR wrong)\nendif()", tree)

    def test_embed_with_a_libpython_that_is_gone_is_refused_with_the_reason(self):
        tree = self.changed(self.libpython_line(), 'set(pyattach_libpython "/gone/libpython3.so")')
        said = self.configure("find_package(pyattach CONFIG REQUIRED COMPONENTS embed)", tree, expect=1)
        self.assertIn("libpyattach was configured with /gone/libpython3.so, which is not there.", said)

    def test_a_missing_archive_and_an_unknown_component_are_named(self):
        tree = self.changed(self.libpython_line(), self.libpython_line())
        (tree.libraries / "libpyattach.a").unlink()
        said = self.configure("find_package(pyattach CONFIG REQUIRED COMPONENTS static dynamic shared)", tree, expect=1)
        self.assertRegex(said, r"there is no pyattach::static: \S+/libpyattach\.a is missing\.")
        self.assertIn("there is no component dynamic, only shared, static and embed.", said)
        self.assertNotIn("there is no pyattach::pyattach", said)

    def test_an_installation_without_libraries_is_no_installation(self):
        tree = self.changed(self.libpython_line(), self.libpython_line())
        for library in tree.libraries.glob("libpyattach.*"):
            library.unlink()
        said = self.configure("find_package(pyattach CONFIG REQUIRED)", tree, expect=1)
        self.assertRegex(said, rf"neither \S+/libpyattach\.so\.{VERSION} nor \S+/libpyattach\.a is there\.")


if __name__ == "__main__":
    unittest.main(verbosity=2)
