"""README.md and docs/: what they show is compiled and run (see examples.py), and what they name exists."""

import re
import unittest

from examples import SOURCE, DocumentTest, blocks

PAGES = sorted((SOURCE / "docs").glob("*.md"))
DOCUMENTS = [SOURCE / "README.md", *PAGES]


class ReadmeTest(DocumentTest):
    def test_examples_compile_run_and_print_what_is_shown(self):
        for document in DOCUMENTS:
            self.check(document)

    def test_every_block_says_what_it_is_and_what_is_done_with_it(self):
        for document in DOCUMENTS:
            before = ""
            for mark, language, text, line in blocks(document):
                with self.subTest(block=f"{document.name}:{line}"):
                    if language == "text output":
                        self.assertRegex(before, r"\A(run|compile|module) ", "nothing was run that could print this")
                    elif language not in ("", "text"):
                        self.assertTrue(mark, "no mark above it")
                before = mark

    def test_the_readme_begins_with_an_example_of_some_20_lines_in_c_and_in_cpp(self):
        first = [(mark, text) for mark, language, text, line in blocks(SOURCE / "README.md") if mark][:2]
        self.assertEqual(["run example.c", "run example.cpp"], [mark for mark, text in first])
        for mark, text in first:
            self.assertLessEqual(len(re.findall(r"\S.*\n", text)), 24, mark)

    def test_every_page_is_linked_from_the_main_page_and_the_readme_and_known_to_the_build(self):
        main, readme, build = ((SOURCE / name).read_text() for name in ("docs/main.md", "README.md", "docs/meson.build"))
        for page in PAGES:
            with self.subTest(page=page.name):
                self.assertIn(f"'{page.name}'", build)
                if page.name != "main.md":
                    self.assertIn(f"]({page.name})", main)
                    self.assertIn(f"](docs/{page.name})", readme)

    def test_links_to_files_lead_somewhere(self):
        for document in [*DOCUMENTS, *(SOURCE / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "ARCHITECTURE", "SECURITY"))]:
            for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text()):
                with self.subTest(document=document.name, target=target):
                    self.assertTrue((document.parent / target).exists())

    def test_the_architecture_names_tests_that_exist_and_every_suite_and_tool(self):
        text = (SOURCE / "ARCHITECTURE.md").read_text()
        for name in sorted(set(re.findall(r"`(\w+_test)`", text))):
            with self.subTest(test=name):
                self.assertTrue(list((SOURCE / "tests").rglob(f"{name}.*")))
        tree = re.search(r"^## 1\. .*?```\n(.*?)^```", text, re.M | re.S)[1]
        suites = [path.name for path in (SOURCE / "tests").iterdir() if path.is_dir() and path.name != "support"]
        tools = [path.name for path in (SOURCE / "tools").iterdir() if path.is_file() and "." not in path.name]
        for name in sorted(suites + tools):
            with self.subTest(name=name):
                self.assertTrue(re.search(rf"\b{name}\b", tree), "the tree does not name it")

    def test_every_name_in_a_document_exists(self):
        headers = "\n".join(path.read_text() for path in sorted((SOURCE / "include/pyattach").rglob("*.h*")))
        known = set(re.findall(r"\b(?:pyattach|PYATTACH)_\w+", headers))
        known |= set(re.findall(r"\bPYATTACH_TEST_\w+", (SOURCE / "tools/matrix").read_text()))
        # What the environment says to the routing of binaries.
        for path in ("capi/preload/preload.cpp", "src/preload/process_trace.cpp", "python/pyattach/__init__.py"):
            known |= set(re.findall(r"\bPYATTACH_[A-Z_]+\b", (SOURCE / path).read_text()))
        known |= {"pyattach_dep", "pyattach_PXD_DIR"}  # Meson's and CMake's
        for document in [*DOCUMENTS, SOURCE / "CONTRIBUTING.md", SOURCE / "SECURITY.md"]:
            for name in sorted(set(re.findall(r"\b(?:pyattach|PYATTACH)_\w+", document.read_text()))):
                with self.subTest(document=document.name, name=name):
                    self.assertIn(name, known)


if __name__ == "__main__":
    unittest.main(verbosity=2)
