import re

import pytest

from evenkeel.page.inlined import UnfitModule, in_order, inlined
from tests.evenkeel.page.conftest import STATIC, Javascript

MODULES = {
    "entry.js": """import { two } from "./two.js";
import {
  one,
} from "./one.js";
globalThis.found = [one, two(), many().next().value];
import { many } from "./one.js";
""",
    "two.js": """import { one } from "./one.js";
const own = 1;
export function two() {
  return one + own;
}
""",
    "one.js": """const own = 41;
export const one = own;
export function* many() {
  yield own;
}
""",
}


def test_modules_become_one_script_that_does_the_same(javascript: Javascript) -> None:
    """Each once, behind those that it needs; what one keeps to itself may have the same name in another."""
    script = inlined(MODULES, "entry.js")

    assert in_order(MODULES, "entry.js") == ["one.js", "two.js", "entry.js"]
    assert javascript(f"{script}\nconst answer = globalThis.found;") == [41, 42, 41]


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ('import * as two from "./two.js";\n', "cannot be inlined"),
        ('import { two as three } from "./two.js";\n', "imports two as three, which two.js does not export"),
        ('import two from "./two.js";\n', "cannot be inlined"),
        ('import { two } from "https://somewhere/two.js";\n', "cannot be inlined"),
        ('import "./two.js";\n', "cannot be inlined"),
        ('const two = await import("./two.js");\n', "cannot be inlined"),
        ("const where = import.meta.url;\n", "cannot be inlined"),
        ("export default 1;\n", "cannot be inlined"),
        ("export let one = 1;\n", "cannot be inlined"),
        ("const one = 1;\nexport { one };\n", "cannot be inlined"),
        ('export * from "./two.js";\n', "cannot be inlined"),
        ("export const { one } = {};\n", "cannot be inlined"),
        ('const text = "</script>";\n', "cannot be inlined"),
        ('import { three } from "./two.js";\n', "imports three, which two.js does not export"),
        ('import { four } from "./four.js";\n', "entry.js needs four.js, which there is not"),
    ],
)
def test_what_cannot_be_inlined_is_refused(module: str, complaint: str) -> None:
    """No form of import or export that is not understood gets through."""
    with pytest.raises(UnfitModule, match=re.escape(complaint)):
        inlined({**MODULES, "entry.js": module}, "entry.js")


def test_modules_that_need_each_other_are_refused() -> None:
    with pytest.raises(UnfitModule, match=r"two.js needs itself, by way of entry.js and two.js and one.js"):
        in_order({**MODULES, "one.js": 'import { two } from "./two.js";\n'}, "entry.js")


@pytest.mark.parametrize("entry", ["opening.js", "file.js"])
def test_our_own_modules_can_be_inlined(entry: str, javascript: Javascript) -> None:
    """The script is one that a browser can read."""
    modules = {file.name: file.read_text() for file in STATIC.glob("*.js")}
    script = inlined(modules, entry)

    assert javascript("import vm from 'node:vm'; new vm.Script(given.script); const answer = true;", script=script)
