"""The API as Markdown pages, from docstrings and signatures; griffe reads the source, nothing is imported."""

import re
import shutil
from pathlib import Path

import griffe

from tools.website import source_pages

LEFT_OUT = ("cli", "config_fields", "course", "parity", "utils")  # commands, checks and tools: no library
# A docstring's "Returns" is one text; names like "depth, num_heads" are meant for both.
PARSING = {"returns_multiple_items": False, "returns_named_value": False, "warn_unknown_params": False}
PARSING |= {"warn_missing_types": False, "warnings": False}
INDEX = """# API

Modules in the order in which the lessons build them and then use them. `vggt_lite` itself offers `VGGT`,
`Reconstruction`, `load_images`, `generate_scenes` and the sizes of the models.

"""
ROOMS = (
    ("config", "Every size and choice"),
    ("geometry", "Cameras, rotations, two views, bundle adjustment"),
    ("model", "The network"),
    ("losses", "What it is told"),
    ("metrics", "How good a result is"),
    ("training", "What one process does"),
    ("synthetic", "Generated scenes"),
    ("data", "Photographs, scene folders, batches"),
    ("pretrained", "Weights, their names, the hub"),
    ("inference", "Photographs to reconstruction, long sequences, memory"),
    ("viz", "Figures and pages"),
    ("export", "Into other programs"),
    ("evaluation", "Protocols, data sets, reports"),
    ("research", "Experiments, fine-tuning, several processes"),
)


def write(root: Path, folder: Path) -> None:
    """Write a page for each public module under `folder`/api, a list of them, and copies of their files.

    Raises:
        KeyError: a room of the package is neither in the list above nor left out.
    """
    package = griffe.load("vggt_lite", search_paths=[root], allow_inspection=False, docstring_parser="google")
    rooms = dict(ROOMS)
    found = {name: [] for name in rooms}
    for module in modules_of(package)[1:]:
        room = module.path.split(".")[1]
        if room not in LEFT_OUT and page_of(module):
            found[room].append(module)
    (folder / "api").mkdir(exist_ok=True)
    lines = [INDEX]
    for room, words in rooms.items():
        lines.append(f"## {words}\n\n")
        for module in found[room]:
            first = module.docstring.value.split("\n\n")[0].replace("\n", " ")
            lines.append(f"- [`{module.path}`]({module.path}.md): {first}\n")
            (folder / "api" / f"{module.path}.md").write_text(page_of(module), encoding="utf-8")
            copy = folder / module.filepath.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module.filepath, copy)
        lines.append("\n```{toctree}\n:hidden:\n\n")
        lines += [f"{module.path}\n" for module in found[room]] + ["```\n\n"]
    (folder / "api" / "index.md").write_text("".join(lines), encoding="utf-8")


def modules_of(module: griffe.Module) -> list[griffe.Module]:
    """The module and all below it."""
    inner = [module.members[name] for name in sorted(module.members)]
    below = [m for each in inner if not each.is_alias and each.is_module for m in modules_of(each)]
    return [module, *below]


def page_of(module: griffe.Module) -> str:
    """Markdown of a module: empty if it defines nothing public."""
    parts = [described(thing, 2) for thing in module.members.values() if is_ours(thing)]
    return f"# `{module.path}`\n\n{sections(module)}\n{''.join(parts)}" if parts else ""


def is_ours(thing: griffe.Object | griffe.Alias) -> bool:
    """Whether a class or function is public and defined here, not imported."""
    return not thing.is_alias and (thing.is_class or thing.is_function) and not thing.name.startswith("_")


def described(thing: griffe.Class | griffe.Function, level: int) -> str:
    """Heading, signature, link to the source and docstring; of a class its methods, too."""
    name = thing.path.removeprefix(f"{thing.module.path}.")
    file = thing.relative_package_filepath.as_posix()
    link = f"../{source_pages.page_of(file)}.html#L{thing.lineno}"
    text = f"{'#' * level} `{name}`\n\n```python\n{signature(thing, name)}\n```\n\n"
    text += f'<a class="source" href="{link}">source</a>\n\n{sections(thing)}\n'
    if thing.is_class:
        text += "".join(described(inner, level + 1) for inner in thing.members.values() if is_ours(inner))
    return text


def signature(thing: griffe.Class | griffe.Function, name: str) -> str:
    """As one would write it, a parameter a line where one line is too long."""
    kind = "class" if thing.is_class else "def"
    end = f" -> {thing.returns}" if thing.is_function and thing.returns else ""
    found = [each for each in thing.parameters if each.name not in ("self", "cls")]
    stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
    written = []
    for each in found:
        words = stars.get(each.kind, "") + each.name
        words += f": {each.annotation}" if each.annotation else ""
        written.append(words if each.default is None or each.kind in stars else f"{words} = {each.default}")
    keywords = [each.kind is griffe.ParameterKind.keyword_only for each in found]
    if any(keywords) and not any(each.kind is griffe.ParameterKind.var_positional for each in found):
        written.insert(keywords.index(True), "*")
    short = f"{kind} {name}({', '.join(written)}){end}"
    return short if len(short) <= 88 else f"{kind} {name}(\n    " + ",\n    ".join(written) + f",\n){end}"


def sections(thing: griffe.Object) -> str:
    """The docstring as Markdown: text as it stands, parameters and errors as lists."""
    if not thing.docstring:
        return ""
    return "\n".join(section(part) for part in thing.docstring.parse("google", **PARSING))


def section(part: griffe.DocstringSection) -> str:
    if part.kind is griffe.DocstringSectionKind.text:
        return f"{part.value}\n"
    if part.kind is griffe.DocstringSectionKind.admonition:
        return f"**{part.title}**: {part.value.contents}\n"
    if part.kind is griffe.DocstringSectionKind.examples:
        return "".join(f"```python\n{words}\n```\n" for _, words in part.value)
    rows = []
    for item in part.value:
        name = getattr(item, "name", "") or str(item.annotation or "")
        words = re.sub(r"\s+", " ", item.description)
        rows.append(f"- `{name}`: {words}" if name else f"- {words}")
    return f"**{part.kind.value.capitalize()}**\n\n" + "\n".join(rows) + "\n"
