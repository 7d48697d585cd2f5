"""The page in a real browser, over a real service: the form, the answer, what if, and the way elsewhere."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.browser import Tab
from tests.end_to_end.conftest import QUICK, Service, running, train
from tests.service.conftest import PUBLISHED, SETS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

# Names and categories that JavaScript, HTML, a shell or an address could take for something else.
ODD_NAMES = ["a b", "__proto__", "constructor", "🐧 'q\"", "עברית", "x=1&y#", "<b>"]
ODD_TEXTS = [" Private", "Private", "a  b", "a b", 'it\'s "1"', "\\n${x}`", "line\nbreak", "🐧", "‏ימין", "<i>", "%20"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a model of features and categories of any kind, some of them missing; one is a date."""
    folder = tmp_path_factory.mktemp("odd")
    lines = [",".join(quoted(name) for name in [*ODD_NAMES, "day", "long", "y"])]
    for row in range(240):
        texts = [ODD_TEXTS[(row + step) % len(ODD_TEXTS)] for step in range(len(ODD_NAMES) - 2)]
        day, label = f"2024-{1 + row % 12:02}-{1 + row % 28:02}", "no\u00a0 " if row % 3 else "<yes>"
        cells = [*texts, str(row / 10), "" if row % 5 == 0 else str(row % 7), day, f"kind {row % 40:02}", label]
        lines.append(",".join(quoted(cell) for cell in cells))
    (folder / "odd.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    train(folder / "odd.csv", folder / "store", "--target", "y", "--name", "odd", *QUICK)
    return folder / "store"


@pytest.fixture(scope="module")
def odd_service(odd: Path) -> Iterator[Service]:
    """A service of the odd model, for the tests of this file."""
    with running(odd, find_free_port()) as service:
        service.wait()
        yield service


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def asked(tab: Tab) -> list[dict[str, Any]]:
    """The records that the page has asked for by themselves, in their order."""
    tab.js("1")
    bodies = [json.loads(body) for url, body in tab.requests if url.endswith(":predict")]
    return [body["instance"] for body in bodies if "instance" in body]


def field(name: str) -> str:
    """The control of a feature, as an expression."""
    return f"[...document.querySelectorAll('[data-feature]')].find((one) => one.dataset.feature === {json.dumps(name)})"


def put(tab: Tab, name: str, value: str) -> None:
    """Give a control a value, as a person's hand would."""
    event = "change" if tab.js(f"{field(name)}.tagName") == "SELECT" else "input"
    tab.js(
        f"(() => {{ const one = {field(name)}; one.value = {json.dumps(value)};"
        f" one.dispatchEvent(new Event('{event}', {{ bubbles: true }})); }})()"
    )


def answered(tab: Tab) -> str:
    """The label that is shown, once there is one."""
    return str(tab.wait("document.querySelector('.verdict .label')?.textContent", lambda text: text not in (None, "…")))


def test_the_page_asks_the_model_and_shows_its_answer(tab: Tab, published: Service) -> None:
    """The form is filled with an example, the bars with the model's probabilities."""
    tab.open(published.url)
    _, models = published.ask("/v1/models/penguins")
    golden = models["card"]["golden"][0]
    label = models["classes"][golden["probabilities"].index(max(golden["probabilities"]))]

    assert answered(tab) == label
    assert tab.js("document.querySelector('.bars .first').dataset.class") == label
    assert asked(tab) == [golden["instance"]]


def test_names_and_categories_of_any_kind_are_shown_and_sent_exactly(tab: Tab, odd_service: Service) -> None:
    """Blanks, quotes, emoji, right-to-left, line breaks, and names that JavaScript has a meaning for."""
    _, state = odd_service.ask("/v1/models/odd")
    tab.open(odd_service.url)
    answered(tab)
    names = tab.js("[...document.querySelectorAll('.field .name')].map((one) => one.textContent)")
    assert names == [feature["name"] for feature in state["features"]]
    assert set(ODD_NAMES) < set(names)
    assert asked(tab)[-1] == state["card"]["golden"][0]["instance"]

    for name, texts in ((one["name"], one.get("categories", [])) for one in state["features"]):
        for text in texts if len(texts) < 14 else ():
            put(tab, name, text)
            assert asked(tab)[-1][name] == text
    shown = tab.js("[...document.querySelectorAll('.bars .class')].map((one) => one.textContent)")
    assert shown == state["classes"]


def test_missing_dates_and_long_lists_are_chosen(tab: Tab, odd_service: Service) -> None:
    """Missing is null, a date is ISO, and a long list is searched by typing, with the keyboard alone."""
    tab.open(odd_service.url)
    answered(tab)
    assert tab.js(f"{field('day')}.type") == "date"
    put(tab, "day", "2024-02-29")
    assert asked(tab)[-1]["day"] == "2024-02-29"
    put(tab, "day", "")
    assert asked(tab)[-1]["day"] is None

    gap = f"{field('x=1&y#')}.closest('.field').querySelector('.gap')"
    before = asked(tab)[-1]["x=1&y#"]
    tab.js(f"{gap}.click()")
    assert asked(tab)[-1]["x=1&y#"] is None
    assert tab.js(f"{gap}.getAttribute('aria-pressed')") == "true"
    tab.js(f"{gap}.click()")
    assert asked(tab)[-1]["x=1&y#"] == before
    put(tab, "__proto__", "")
    assert asked(tab)[-1]["__proto__"] is None

    tab.js(f"{field('long')}.focus(); {field('long')}.select()")
    tab.write("d 3")
    assert tab.js("document.querySelectorAll('[role=option]').length") == 10
    tab.press("ArrowDown", 3)
    tab.press("Enter")
    assert asked(tab)[-1]["long"] == "kind 32"
    tab.js(f"{field('long')}.select()")
    tab.write("something new")
    tab.wait("document.querySelector('.notes')?.textContent.includes('training has not seen')")
    assert asked(tab)[-1]["long"] == "something new"


def test_a_warning_stands_under_its_field_and_under_the_answer(tab: Tab, published: Service) -> None:
    """And goes away with what it was about; what is no number is said in the same places, and not sent."""
    tab.open(published.url)
    answered(tab)
    remark = f"{field('bill_length_mm')}.closest('.field').querySelector('.remark').textContent"
    put(tab, "bill_length_mm", "460")
    tab.wait(f"{remark}.includes('the value lies outside')")
    assert "training has seen 32.1 to 59.6" in tab.text(".notes")
    put(tab, "bill_length_mm", "46")
    tab.wait(f"{remark} === ''")
    assert tab.text(".notes") == ""

    count = len(asked(tab))
    put(tab, "bill_length_mm", "4o")
    tab.wait(f"{remark} === 'is no number'")
    assert "bill_length_mm is no number" in tab.text(".answer .message")
    assert tab.js(f"{field('bill_length_mm')}.getAttribute('aria-invalid')") == "true"
    assert len(asked(tab)) == count


@pytest.mark.parametrize(("width", "height", "place"), [(1280, 700, ".answer .verdict"), (390, 700, ".strip")])
def test_the_answer_stays_in_sight(tab: Tab, odd_service: Service, width: int, height: int, place: str) -> None:
    """On a desktop and on a phone, at the last feature of the form; and nothing is wider than the screen."""
    tab.view(width, height)
    tab.open(odd_service.url)
    answered(tab)
    tab.js("[...document.querySelectorAll('[data-feature]')].at(-1).focus()")
    top, bottom = tab.js(
        f"(({{top, bottom}}) => [top, bottom])(document.querySelector('{place}').getBoundingClientRect())"
    )
    assert 0 <= top < bottom <= height
    assert tab.js("document.documentElement.scrollWidth") <= width


def test_a_prediction_is_made_without_a_mouse(tab: Tab, published: Service) -> None:
    """From the address bar by Tab alone: every feature is reached in its order, changed, and answered."""
    tab.open(published.url)
    answered(tab)
    names = tab.js("[...document.querySelectorAll('[data-feature]')].map((one) => one.dataset.feature)")
    tab.wait("document.hasFocus()")
    for _ in range(20):
        tab.press("Tab")
        if tab.js("document.activeElement.dataset.feature ?? null") == names[0]:
            break
    reached = []
    for name in names:
        reached.append(tab.js("document.activeElement.dataset.feature ?? null"))
        if name == "bill_length_mm":
            tab.js("document.activeElement.select()")
            tab.write("50")
            tab.press("ArrowUp")
        tab.press("Tab")
    assert reached == names
    assert asked(tab)[-1]["bill_length_mm"] == 50.1
    # What a screen reader is told.
    tab.wait("document.querySelector('.answer [role=status]').textContent.includes('%')")


def test_what_if_is_asked_in_one_batch(tab: Tab, published: Service) -> None:
    """Of at most 60 rows, over the range of training and beyond where the value is; a line a class."""
    tab.open(published.url)
    answered(tab)
    tab.js(f"{field('flipper_length_mm')}.focus()")
    tab.wait("document.querySelector('.curve h2').textContent.includes('flipper_length_mm')")
    rows = json.loads([body for _, body in tab.requests if '"instances"' in body][-1])["instances"]
    tried = [row["flipper_length_mm"] for row in rows[1:] if row["flipper_length_mm"] is not None]
    _, state = published.ask("/v1/models/penguins")
    feature = next(one for one in state["features"] if one["name"] == "flipper_length_mm")

    assert len(rows) <= 60
    assert (min(tried), max(tried)) == (feature["minimum"], feature["maximum"])
    assert {json.dumps({**row, "flipper_length_mm": 0}) for row in rows} == {
        json.dumps({**rows[0], "flipper_length_mm": 0})
    }
    assert tab.js("document.querySelectorAll('.curve polyline').length") == 3
    assert tab.js("document.querySelectorAll('.curve .spread').length") >= 10


def test_a_case_has_an_address(tab: Tab, odd: Path, serve: Callable[..., Service]) -> None:
    """It is the same case in another browser; the service never hears of what stands behind the #."""
    service = serve(odd, EVENKEEL_ACCESS_LOG="true")
    service.wait()
    tab.open(service.url)
    answered(tab)
    put(tab, "a b", " Private")
    put(tab, "__proto__", "")
    put(tab, "x=1&y#", "3.25")
    tab.wait("location.hash.includes('3.25')")
    sent, address = asked(tab)[-1], tab.js("location.href")

    tab.open(address)
    answered(tab)
    assert asked(tab)[-1] == sent
    assert (sent["a b"], sent["__proto__"], sent["x=1&y#"]) == (" Private", None, 3.25)


def test_exact_reasons_have_no_error_whatever_a_feature_is_called(tab: Tab, odd_service: Service) -> None:
    """An object of nothing answers for a feature that is called __proto__ or constructor."""
    tab.open(odd_service.url)
    answered(tab)
    for name in ("__proto__", "constructor"):
        put(tab, name, "")
    moved = "[...document.querySelectorAll('.why .what')].map((one) => one.textContent).join()"
    tab.wait(f"!document.querySelector('.why.stale') && ({moved}).includes('__proto__')")
    assert "exact" in tab.text(".why")
    assert "±" not in tab.text(".why")


def test_a_reason_shows_its_value_beside_a_long_name(tab: Tab, serve: Callable[..., Service]) -> None:
    """bill_length_mm is shortened where there is no room for it, 45.4 is not."""
    service = serve(SETS)
    service.wait()
    tab.view(1100, 800)
    tab.open(f"{service.url}/#bill_length_mm=45.4&flipper_length_mm=231&body_mass_g=3650")
    answered(tab)
    tab.wait("document.querySelectorAll('.why .value').length > 2")
    hidden = (
        "[...document.querySelectorAll('.why .value')].filter((one) => one.scrollWidth > one.clientWidth || "
        "one.getBoundingClientRect().right > one.parentNode.getBoundingClientRect().right + 1)"
    )
    assert tab.js(f"{hidden}.map((one) => one.parentNode.title)") == []


@pytest.mark.parametrize("keyed", [False, True])
def test_what_is_copied_runs(tab: Tab, odd: Path, tmp_path: Path, serve: Callable[..., Service], keyed: bool) -> None:
    """Each of the commands, as it stands, gives the answer that the page shows."""
    key = "k" * 40
    (tmp_path / "keys").write_text(f"predict {key}\n")
    service = serve(odd, **({"EVENKEEL_API_KEYS_FILE": str(tmp_path / "keys")} if keyed else {}))
    service.wait("/v2/health/ready")
    if keyed:
        tab.open(f"{service.url}/static/icon.svg")
        tab.js(f"sessionStorage.setItem('key', '{key}')")
    tab.open(service.url)
    label = answered(tab)
    texts = {}
    for name in ("curl", "Python", "JavaScript", "V2"):
        tab.js(f"document.querySelector('[data-copy={name}]').click()")
        texts[name] = tab.text(".copies code")
    assert key not in "".join(texts.values())

    (tmp_path / "it.mjs").write_text(texts["JavaScript"])
    commands = [["bash", "-c", texts["curl"]], [sys.executable, "-c", texts["Python"]], ["bash", "-c", texts["V2"]]]
    commands += [["node", str(tmp_path / "it.mjs")]] if shutil.which("node") else []
    for command in commands:
        variables = {**os.environ, "EVENKEEL_API_KEY": key}
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=30)
        assert label in ran.stdout.replace("\\xa0", "\xa0"), (command, ran.stdout)


def test_the_page_is_small_and_quick(tab: Tab, serve: Callable[..., Service]) -> None:
    """All that the page of a model loads, and how soon bars follow a key; the times leave room for a busy machine."""
    # One that the browser has nothing of yet.
    service = serve(PUBLISHED)
    service.wait()
    tab.open(f"{service.url}/?model=penguins")
    answered(tab)
    entries = tab.js("performance.getEntries().map((one) => one.transferSize ?? 0).reduce((all, one) => all + one, 0)")
    assert entries < 150_000
    times = [
        tab.js(f"""new Promise((done) => {{
        const bars = document.querySelector('.answer'), one = {field("bill_length_mm")};
        const began = performance.now();
        new MutationObserver((_, watch) => {{ watch.disconnect(); done(performance.now() - began); }})
            .observe(bars, {{ attributes: true, childList: true, subtree: true }});
        one.value = '{40 + step / 2}';
        one.dispatchEvent(new Event('input', {{ bubbles: true }}));
    }})""")
        for step in range(1, 9)
    ]
    assert statistics.median(times) < 500


def test_the_page_asks_for_a_key_where_one_is_needed(tab: Tab, tmp_path: Path, serve: Callable[..., Service]) -> None:
    """A wrong one is told so, the right one opens the page, and the next page of the tab too; no address has it."""
    key = "right-" * 6
    (tmp_path / "keys").write_text(f"predict {key}\n")
    service = serve(PUBLISHED, EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys"))
    service.wait()
    tab.open(service.url)
    tab.wait("document.activeElement?.type === 'password'")
    assert "penguins" not in tab.text("body")
    tab.write("wrong-" * 6)
    tab.press("Enter")
    tab.wait("document.querySelector('.message')?.textContent.includes('none that this service knows')")
    tab.write(key)
    tab.press("Enter")
    assert answered(tab) == "Adelie"
    tab.js("document.querySelector('nav a[href$=\"/docs\"]').click()")
    tab.wait("document.querySelectorAll('.operations .path').length > 10")
    assert not any(key in url for url, _ in tab.requests)
    # The browser notes each 401.
    tab.errors[:] = [error for error in tab.errors if "401" not in error]


def test_the_page_waits_for_the_first_model(tab: Tab, tmp_path: Path, free_port: int) -> None:
    """It says how to publish one, and shows it once it is there."""
    (tmp_path / "store").mkdir()
    with running(tmp_path / "store", free_port) as service:
        service.wait("/v2/health/live")
        tab.open(service.url)
        tab.wait("document.querySelector('main pre')?.textContent.includes('evenkeel fit')")

        shutil.copytree(PUBLISHED / "penguins", tmp_path / "penguins")
        (tmp_path / "penguins").rename(tmp_path / "store" / "penguins")
        tab.wait("document.querySelectorAll('[data-feature]').length === 7")
        answered(tab)
