#!/usr/bin/env python3
"""Finds what would not survive CPython's ending a thread by unwinding its stack (invariant 10 of ARCHITECTURE.md).

Up to 3.13.7 CPython ends a thread that it refuses with pthread_exit, which unwinds every frame down to the nearest
`cpython::guarded`. Any call of CPython's may do that, but for those whose type in src/cpython/functions.inc says
`noexcept`. Two patterns break it, and each is a finding:

  noexcept    a noexcept function calls, outside of `guarded`, something that may be unwound: std::terminate.
              So every function that is called below `guarded` and calls CPython lacks `noexcept`, and by induction no
              unwinding reaches a noexcept function.
  destructor  a frame that may be unwound (a lambda given to `guarded`, a function without noexcept) holds an object whose
              destructor calls CPython: it would do so on a thread that has no thread state any more.

A line that ends in `// never unwound: REASON` is left out. Functions of system headers are taken not to be unwound. What
initializes a lambda's captures is not seen (libclang does not show it).

    tools/unwinding.py FILE... -- COMPILER-OPTION...

Says each finding in a line, FILE:LINE: what; exit status 1 if there are any. Needs libclang's Python module
(Debian: python3-clang-14).
"""

import os
import re
import sys

from clang.cindex import CursorKind, ExceptionSpecificationKind, Index, TranslationUnitLoadError, TypeKind, conf

FUNCTIONS = {CursorKind.FUNCTION_DECL, CursorKind.CXX_METHOD, CursorKind.CONSTRUCTOR, CursorKind.DESTRUCTOR,
             CursorKind.CONVERSION_FUNCTION, CursorKind.FUNCTION_TEMPLATE}
# Variables, and what makes temporaries.
OBJECTS = {CursorKind.VAR_DECL, CursorKind.CALL_EXPR, CursorKind.CXX_FUNCTIONAL_CAST_EXPR}
MAY_UNWIND = {ExceptionSpecificationKind.NONE, ExceptionSpecificationKind.DYNAMIC, ExceptionSpecificationKind.MS_ANY,
              ExceptionSpecificationKind.UNINSTANTIATED, ExceptionSpecificationKind.UNPARSED}
WHY = "up to 3.13.7 CPython ends a thread that it refuses by unwinding its stack"
EXCUSE = re.compile(r"// never unwound: \S")


def is_noexcept(cursor):
    if cursor.kind == CursorKind.DESTRUCTOR:
        return True
    return cursor.exception_specification_kind not in MAY_UNWIND


def lambda_is_noexcept(expression):
    """By its words between the captures and the body: the call operator has no cursor of its own."""
    body = [child for child in expression.get_children() if child.kind == CursorKind.COMPOUND_STMT]
    end = body[-1].extent.start.offset if body else 0
    return any(token.spelling == "noexcept" for token in expression.get_tokens() if token.extent.start.offset < end)


def function_pointer(kind):
    """The function type behind a pointer, or what stands for it; None: the type is something else."""
    kind = kind.get_canonical()
    while kind.kind in (TypeKind.POINTER, TypeKind.LVALUEREFERENCE, TypeKind.RVALUEREFERENCE):
        kind = kind.get_pointee().get_canonical()
    return kind if kind.kind == TypeKind.FUNCTIONPROTO else None


def may_unwind(function_type):
    # (Type.get_exception_specification_kind of libclang 14's module is misspelled inside.)
    return ExceptionSpecificationKind.from_id(conf.lib.clang_getExceptionSpecificationType(function_type)) in MAY_UNWIND


class Program:
    """All sources together: who calls CPython, so that destructors can be asked."""

    def __init__(self, sources, options, root):
        self.root = root
        self.findings = {}
        self.bodies = {}  # USR: definition
        self.calls = {}  # USR: USRs of what it calls; CPYTHON for a call through the table
        self.lines = {}
        for source in sources:
            try:
                unit = Index.create().parse(source, args=options)
            except TranslationUnitLoadError:
                sys.exit(f"{source} cannot be read")
            broken = [str(one) for one in unit.diagnostics if one.severity >= 3]
            if broken:
                sys.exit("\n".join([f"{source} cannot be read:"] + broken))
            self.collect(unit.cursor)
        self.reach_cpython()

    def is_ours(self, cursor):
        place = cursor.location.file
        return place is not None and os.path.abspath(place.name).startswith(self.root)

    def collect(self, cursor):
        for child in cursor.get_children():
            if not self.is_ours(child):
                continue
            if child.kind in FUNCTIONS and child.is_definition():
                usr = child.get_usr()
                if usr not in self.bodies:
                    self.bodies[usr] = child
                    self.calls[usr] = {self.target(node) for node in child.walk_preorder() if node.kind == CursorKind.CALL_EXPR}
            self.collect(child)

    def target(self, call):
        callee = call.referenced
        if callee is None:
            return None
        if callee.kind == CursorKind.FIELD_DECL and callee.semantic_parent.spelling == "table":
            return "CPYTHON"
        return callee.get_usr()

    def reach_cpython(self):
        self.reaching = {"CPYTHON"}
        while True:
            more = {usr for usr, called in self.calls.items() if usr not in self.reaching and called & self.reaching}
            if not more:
                return
            self.reaching |= more

    def destructor_calls_cpython(self, kind):
        kind = kind.get_canonical()
        if kind.kind in (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY):
            return self.destructor_calls_cpython(kind.get_array_element_type())
        of = kind.get_declaration() if kind.kind == TypeKind.RECORD else None
        if of is None or not self.is_ours(of):
            return False
        for member in (of.get_definition() or of).get_children():
            if member.kind == CursorKind.DESTRUCTOR and member.get_usr() in self.reaching:
                return True
            if member.kind in (CursorKind.FIELD_DECL, CursorKind.CXX_BASE_SPECIFIER) and \
                    self.destructor_calls_cpython(member.type):
                return True
        return False

    # --- The two patterns ---

    def check(self):
        for function in self.bodies.values():
            if function.spelling == "guarded":
                continue
            for child in function.get_children():
                self.visit(child, function.spelling, is_noexcept(function))

    def visit(self, node, name, stops):
        """`stops`: unwinding that arrives here ends the process."""
        if node.kind == CursorKind.LAMBDA_EXPR:
            stops, name = lambda_is_noexcept(node), f"a lambda in {name}"
        if node.kind in FUNCTIONS:
            return  # a local class's, which is checked by itself
        if node.kind == CursorKind.CALL_EXPR:
            if self.is_guarded(node):
                for argument in node.get_arguments():
                    self.visit(argument, name, stops)
                return
            if stops:
                self.check_call(node, name)
        if node.kind in OBJECTS and not stops:
            self.check_destructor(node, name)
        for child in node.get_children():
            self.visit(child, name, stops)

    @staticmethod
    def is_guarded(call):
        if call.spelling == "guarded":
            return True
        first = next(iter(call.get_children()), None)
        return first is not None and first.kind in (CursorKind.OVERLOADED_DECL_REF, CursorKind.DECL_REF_EXPR) \
            and first.spelling == "guarded"

    def check_call(self, call, name):
        callee = call.referenced
        if callee is None or callee.kind == CursorKind.PARM_DECL and not function_pointer(callee.type):
            called = next(call.get_children(), None)
            pointed = called and function_pointer(called.type)
            is_given = called and called.referenced is not None and called.referenced.kind == CursorKind.PARM_DECL
            if may_unwind(pointed) if pointed else is_given:
                self.find(call, "noexcept", f"`{name}` is noexcept and calls `{called.spelling}`, which it is given and which may "
                          f"be unwound ({WHY}): call it inside cpython::guarded, or take a pointer to a noexcept function")
            return
        if callee.kind in FUNCTIONS:
            if is_noexcept(callee) or not self.is_ours(callee):
                return
        else:
            pointed = function_pointer(callee.type)
            if pointed is None or not may_unwind(pointed):
                return
        self.find(call, "noexcept", f"`{name}` is noexcept and calls `{callee.spelling}`, which may be unwound ({WHY}): call it "
                  f"inside cpython::guarded, or take `noexcept` from `{name}` and guard its callers")

    def check_destructor(self, node, name):
        if self.destructor_calls_cpython(node.type):
            self.find(node, "destructor", f"`{name}` may be unwound ({WHY}) and holds a `{node.type.spelling}`, whose destructor "
                      f"calls CPython: the thread has no thread state by then. Let it live outside of cpython::guarded")

    def find(self, node, kind, text):
        path = os.path.relpath(os.path.abspath(node.location.file.name), self.root)
        line = node.location.line
        if path not in self.lines:
            with open(node.location.file.name, encoding="utf-8") as file:
                self.lines[path] = file.read().split("\n")
        if not EXCUSE.search(self.lines[path][line - 1]):
            # A variable and its constructor are one.
            self.findings[path, line, kind if kind == "destructor" else text] = f"{path}:{line}: {kind}: {text}."


def main():
    words = sys.argv[1:]
    if "--" not in words or words[0] == "--":
        sys.exit(__doc__)
    at = words.index("--")
    program = Program(words[:at], words[at + 1:], os.getcwd() + os.sep)
    program.check()
    for _, text in sorted(program.findings.items()):
        print(text)
    sys.exit(bool(program.findings))


if __name__ == "__main__":
    main()
