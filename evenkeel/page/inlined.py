"""ES modules as one script, for a page that is a file and may load nothing.

Each module becomes a function that returns what it exports, in the order in which they need each other. That takes few
forms of `import` and `export`, those that our modules have; any other is refused, so that nothing is inlined wrongly.
"""

import re
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r'^import \{([\w\s,]+)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function\*?|function\*?|class|const) (\w+))", re.MULTILINE)
# What is left of them then, at the beginning of a line or anywhere; and what ends a script in HTML or begins another.
_LEFT = re.compile(r"^\s*(?:import|export)\b.*|\bimport\s*[(.].*", re.MULTILINE)
_HTML = re.compile(r"</script|<script|<!--|\r|\0", re.IGNORECASE)


class UnfitModule(Exception):
    """A module has a form that cannot be inlined: a defect of ours, which a test finds."""


def inlined(modules: Mapping[str, str], entry: str) -> str:
    """The script of some modules, by file name, that `entry` needs, and itself.

    :raises UnfitModule: a module is missing, has another form, or needs one that needs it.
    """
    return "\n".join(['"use strict";', *(_function(name, modules) for name in in_order(modules, entry)), ""])


def in_order(modules: Mapping[str, str], entry: str) -> list[str]:
    """The names of a module and all that it needs, each behind those that it needs itself."""
    ordered: list[str] = []
    _visit(entry, modules, ordered, ())
    return ordered


def _visit(name: str, modules: Mapping[str, str], ordered: list[str], above: tuple[str, ...]) -> None:
    if name in ordered:
        return
    if name in above:
        raise UnfitModule(f"{name} needs itself, by way of {' and '.join(above)}")
    if name not in modules:
        raise UnfitModule(f"{above[-1] if above else 'the page'} needs {name}, which there is not")
    for needed, _ in _imports(modules[name]):
        _visit(needed, modules, ordered, (*above, name))
    ordered.append(name)


def _function(name: str, modules: Mapping[str, str]) -> str:
    text = modules[name]
    for needed, names in _imports(text):
        exported = set(_EXPORT.findall(modules[needed]))
        if missing := sorted(set(names) - exported):
            raise UnfitModule(f"{name} imports {missing[0]}, which {needed} does not export by name")
    imports = [f"const {{ {', '.join(names)} }} = {_variable(needed)};" for needed, names in _imports(text)]
    body = _EXPORT.sub("", _IMPORT.sub("", text))
    if found := _LEFT.search(body) or _HTML.search(body):
        raise UnfitModule(f"{name} holds {found[0].strip()!r}, which cannot be inlined")
    exports = ", ".join(_EXPORT.findall(text))
    head = f"const {_variable(name)} = (() => {{"
    return "\n".join([head, *imports, body.strip("\n"), f"return {{ {exports} }};", "})();"])


def _imports(text: str) -> Iterator[tuple[str, list[str]]]:
    for names, needed in _IMPORT.findall(text):
        yield needed, [name.strip() for name in names.split(",") if name.strip()]


def _variable(name: str) -> str:
    return "$" + name.removesuffix(".js").replace("-", "_")
