"""The source of functions, and what they refer to: what `fingerprint` reads."""

import ast
import dis
import io
import linecache
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from functools import cached_property, lru_cache
from tokenize import COMMENT, DEDENT, INDENT, NEWLINE, NL, STRING, tok_name
from types import CodeType, FunctionType

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@lru_cache(maxsize=512)
def canonical(text: str) -> str:
    """The words of a source text: no comments, no docstrings, one layout; the same in every Python."""
    words, before = [], INDENT
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (COMMENT, NL, NEWLINE):
            continue
        if not (token.type == STRING and before == INDENT):  # a docstring
            words.append(tok_name[token.type] if token.type in (INDENT, DEDENT) else token.string)
        before = token.type
    return " ".join(words)


@lru_cache(maxsize=512)
def codes_in(text: str) -> dict[str, list[tuple]]:
    """The `bytecode` of all functions of a text, by qualified name, which a getter and a setter share."""
    found: dict[str, list[tuple]] = {}

    def collect(code: CodeType, outer: str) -> None:
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                found.setdefault(outer + inner.co_name, []).append(bytecode(inner))
                collect(inner, f"{outer}{inner.co_name}.")

    collect(compile(text, "source", "exec", dont_inherit=True), "")
    return found


def bytecode(code: CodeType) -> tuple:
    """What a piece of code does, wherever its lines stand: equal for equal code of one Python."""
    constants = [bytecode(x) if isinstance(x, CodeType) else (type(x), x) for x in code.co_consts]
    return code.co_name, code.co_code, code.co_names, code.co_varnames, constants


def text_of(function: FunctionType) -> str:
    """The present text of the file or notebook cell that a function stands in; empty if there is none."""
    linecache.checkcache(function.__code__.co_filename)
    return "".join(linecache.getlines(function.__code__.co_filename, function.__globals__))


def source_of(function: FunctionType) -> str:
    """The source of one function, without comments and docstrings.

    Raises:
        ValueError: there is none, or another lambda stands in the same line.
    """
    code, text = function.__code__, text_of(function)
    nodes = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, FUNCTIONS)
        and code.co_name == getattr(node, "name", "<lambda>")
        and code.co_firstlineno == min(x.lineno for x in (node, *getattr(node, "decorator_list", ())))
    ]
    if len(nodes) == 1:
        if isinstance(nodes[0], ast.Lambda):
            return canonical(f"({ast.get_source_segment(text, nodes[0])}\n)")
        lines = text.splitlines(keepends=True)[code.co_firstlineno - 1 : nodes[0].end_lineno]
        return canonical(textwrap.dedent("".join(lines)))
    where = f"{function.__qualname__} (line {code.co_firstlineno} of {code.co_filename})"
    if nodes:
        raise ValueError(f"{where} shares its line with another lambda: give each a line of its own.")
    raise ValueError(
        f"no source was found for {where}, so its results could not be told from those of other code: write "
        "it in a notebook cell or a file."
    )


def global_names(code: CodeType) -> Iterator[str]:
    """The global names that code reads, inner functions included."""
    for step in dis.get_instructions(code):
        if step.opname.startswith("LOAD_") and step.opname.endswith(("GLOBAL", "GLOBALS", "NAME")):
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from global_names(inner)


def functions_in(member) -> Iterator[FunctionType]:
    """The functions behind a method, property or decorated function, outermost first."""
    if isinstance(member, (staticmethod, classmethod)):
        yield from functions_in(member.__func__)
    elif isinstance(member, property):
        for function in (member.fget, member.fset, member.fdel):
            yield from functions_in(function)
    elif isinstance(member, cached_property):
        yield from functions_in(member.func)
    else:
        if isinstance(member, FunctionType):
            yield member
        if callable(member) and (inner := getattr(member, "__dict__", {}).get("__wrapped__")):
            yield from functions_in(inner)


def file_of(module: str) -> str | None:
    """Of a module; None where it is written in C, an empty name for a notebook (it has source)."""
    if module == "__main__" or module not in sys.modules:
        return ""
    return getattr(sys.modules[module], "__file__", None)
