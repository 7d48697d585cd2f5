"""The pages beside the form, in a real browser: versions, card, report, HTTP interface; and who can use them."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.card import ModelCard
from models.repository import ModelRepository
from models.serving import Canary, Serving
from tests.conftest import find_free_port
from tests.end_to_end.browser import Tab
from tests.end_to_end.conftest import PATIENCE_S, QUICK, Service, running, train
from tests.end_to_end.test_page import answered
from tests.service.conftest import PUBLISHED

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

AXE = "axe-core@4.14.1"
REPORT = (
    "<!doctype html><title>r</title><style>h1 { color: rgb(1, 2, 3) }</style><h1>Drawn</h1><script>top.x = 1</script>"
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of forty models, one of which has a serving version, a canary, a refused one, and a report."""
    repository = ModelRepository(Path(shutil.copytree(PUBLISHED, tmp_path_factory.mktemp("many") / "store")))
    model = repository.read("penguins", 1)

    def publish(onnx: bytes = model.onnx, files: dict[str, bytes] | None = None, **parts: object) -> int:
        card = ModelCard.model_validate(model.card.model_dump() | parts)
        return repository.publish(card, {"model.onnx": onnx, **(files or {})})

    publish(files={"report.html": REPORT.encode()}, warnings=("one row of the test stands among those of training",))
    publish()
    publish(onnx=model.onnx[:-9])
    repository.change_serving("penguins", lambda _: Serving(version=2, canary=Canary(version=3, share=0.1)))
    for number in range(39):
        publish(name=f"birds-{number:02}")
    with running(repository.root, find_free_port()) as service:
        # What does not serve is looked at after the service is ready.
        service.wait("/v1/models/penguins/versions/3")
        until = time.monotonic() + PATIENCE_S
        while len(service.ask("/v1/models/penguins")[1]["lifecycle"]) < 4 and time.monotonic() < until:
            time.sleep(0.05)
        yield service


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of a model of 750 features."""
    folder = tmp_path_factory.mktemp("wide")
    names = [f"sensor {number:03} of the left engine" for number in range(750)]
    lines = [",".join([*names, "y"])]
    lines += [",".join([*(str((row * 37 + at * 11) % 97) for at in range(750)), "ab"[row % 2]]) for row in range(60)]
    (folder / "wide.csv").write_text("\n".join(lines))
    train(folder / "wide.csv", folder / "store", "--target", "y", "--name", "wide", *QUICK)
    with running(folder / "store", find_free_port()) as service:
        service.wait()
        yield service


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """The accessibility checker axe-core, which npm keeps in the tests' cache."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = pytestconfig.cache.mkdir(AXE.replace("@", "-"))
    if not (folder / "node_modules").exists():
        (folder / "package.json").write_text("{}")
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", AXE]
        subprocess.run(command, cwd=folder, check=True, timeout=120)
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def violations(tab: Tab, axe: str) -> list[str]:
    """What axe-core finds wrong with the page as it is."""
    tab.js(f"{axe}; 0")
    found = tab.js("axe.run(document, { iframes: false }).then((all) => JSON.stringify(all.violations))")
    return [f"{one['id']}: {node['html'][:200]}" for one in json.loads(found) for node in one["nodes"][:3]]


PAGES = {
    "predict": ("/?model=penguins", "document.querySelector('.curve') && !document.querySelector('.curve').hidden"),
    "beside": ("/?model=penguins&version=2&beside=1", "document.querySelectorAll('.verdict').length === 2"),
    "versions": ("/?model=penguins&view=versions", "document.querySelector('.versions')"),
    "card": ("/?model=penguins&view=card", "document.querySelector('.inputs')"),
    "drift": ("/?model=penguins&view=drift", "document.querySelector('.histogram')"),
    "performance": ("/?model=penguins&view=performance", "document.querySelector('.compared')"),
    "report": ("/?model=penguins&view=report", "document.querySelector('iframe')"),
    "docs": ("/docs", "document.querySelector('.operations details')"),
    "none": ("/?model=nowhere", "document.querySelector('h1')"),
}


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        pytest.param(1280, False, id="1280-light"),
        pytest.param(390, True, id="390-dark"),
        pytest.param(1280, True, id="1280-dark", marks=pytest.mark.thorough),
        pytest.param(390, False, id="390-light", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("page", PAGES)
def test_everybody_can_use_it(tab: Tab, many: Service, axe: str, page: str, width: int, dark: bool) -> None:
    """No violation of what axe-core knows, on a desktop and a phone, light and dark; nothing wider than the screen."""
    path, drawn = PAGES[page]
    tab.view(width, 844, dark)
    tab.open(many.url + path)
    tab.wait(drawn)
    if page == "predict":
        tab.js("document.querySelector('.picker').open = true; document.querySelectorAll('[data-feature]')[1].focus()")
        tab.wait("document.querySelector('.curve polyline')")
    if page == "docs":
        tab.js("document.querySelector('.operations details').open = true")
        tab.wait("document.querySelector('.operations textarea')")
    assert violations(tab, axe) == []
    assert tab.js("document.documentElement.scrollWidth") <= width
    tab.errors[:] = [error for error in tab.errors if "nowhere" not in error]


def test_a_scored_table_can_be_used_by_everybody(tab: Tab, many: Service, axe: str, penguins: Path) -> None:
    """As the other pages."""
    tab.open(f"{many.url}/?model=penguins")
    answered(tab)
    tab.choose_file("#rows", penguins)
    tab.wait("document.querySelectorAll('.rows tbody tr').length === 100")
    assert violations(tab, axe) == []


def test_versions_say_what_each_is_there_for(tab: Tab, many: Service) -> None:
    """Who serves, the canary with its share, who is refused and why; with metrics, and a report where there is one."""
    tab.open(f"{many.url}/?model=penguins&view=versions")
    tab.wait("document.querySelectorAll('.versions tbody tr').length === 4")
    cells = "[...document.querySelectorAll('.versions tbody tr')].map((row) => row.textContent)"
    refused, canary, serves, other = tab.js(cells)
    assert "refused" in refused
    assert "model.onnx is no ONNX model" in refused
    assert "canary, 10 % of requests" in canary
    assert "serves" in serves
    assert "100.0 %" in serves
    assert "Report" in serves
    assert "may be asked by number" in other
    assert "Report" not in other

    tab.js("document.querySelector('.besides button').click()")
    tab.wait("document.querySelectorAll('.verdict .label').length === 2")
    tab.wait("[...document.querySelectorAll('.verdict .label')].every((one) => one.textContent === 'Adelie')")
    assert tab.js("[...document.querySelectorAll('.which')].map((one) => one.textContent)") == [
        "version 3",
        "version 2",
    ]


def test_of_several_models_one_is_chosen(tab: Tab, many: Service) -> None:
    """Where none is the default, the page lists them."""
    tab.open(many.url)
    tab.wait("document.querySelector('h1')?.textContent === 'Choose a model'")
    assert tab.js("document.querySelectorAll('main li a').length") == 40
    tab.js("[...document.querySelectorAll('main li a')].find((one) => one.textContent === 'penguins').click()")
    answered(tab)


def test_two_versions_are_asked_about_the_same_row(tab: Tab, many: Service) -> None:
    """With each change, by their numbers."""
    tab.open(f"{many.url}/?model=penguins&version=2&beside=1")
    answered(tab)
    tab.js("1")
    paths = [url.removeprefix(many.url) for url, body in tab.requests if '"instance"' in body]
    assert {"/v1/models/penguins/versions/2:predict", "/v1/models/penguins/versions/1:predict"} <= set(paths)


def test_the_report_runs_nothing(tab: Tab, many: Service) -> None:
    """It is drawn in the frame with its own styles; its script is not run, and it cannot reach the page."""
    tab.open(f"{many.url}/?model=penguins&view=report")
    tab.wait("document.querySelector('iframe')")
    assert tab.js("document.querySelector('iframe').sandbox.length") == 0
    report = "/v1/models/penguins/versions/2/report"
    loaded = "performance.getEntriesByType('resource').find((one) => one.initiatorType === 'iframe')"
    tab.wait(f"{loaded}?.name.endsWith('{report}') && {loaded}.responseStatus === 200")
    assert tab.js("window.x === undefined")
    tab.open(f"{many.url}/v1/models/penguins/versions/2/report")
    tab.wait("document.querySelector('h1')?.textContent === 'Drawn'")
    assert tab.js("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
    assert tab.js("window.x === undefined && self.origin === 'null'")
    assert any("sandboxed" in error or "Content Security Policy" in error for error in tab.errors)
    tab.errors.clear()


def test_the_card_is_a_page_for_people(tab: Tab, many: Service) -> None:
    """What, from what, how good, what to be careful about; the JSON is one click away."""
    tab.open(f"{many.url}/?model=penguins&view=card")
    tab.wait("document.querySelector('.inputs')")
    text = tab.text("main")
    for part in ("Predicts species", "Adelie, Chinstrap, Gentoo", "penguins.csv", "one row of the test stands among"):
        assert part in text
    rows = ModelRepository(PUBLISHED).card("penguins", 1).learning_rows
    assert f"Trained on {rows} rows of penguins.csv" in text
    tab.js("document.querySelector('.title .links a').click()")
    tab.wait("document.body?.textContent.startsWith('{')")
    assert json.loads(tab.text("body"))["card"]["name"] == "penguins"


def test_drift_shows_what_has_moved(tab: Tab, many: Service, axe: str) -> None:
    """The status in a line, a panel for each feature, the furthest first, with both distributions; over each window."""
    record = ModelRepository(PUBLISHED).card("penguins", 1).golden[0].instance
    odd = record | {"island": "Elsewhere", "body_mass_g": 90_000}
    assert many.ask("/v1/models/birds-03:predict", {"instances": [odd] * 250})[0] == 200
    tab.open(f"{many.url}/?model=birds-03&view=drift")
    tab.wait("document.querySelector('.histogram')")
    assert tab.text(".verdict-line").startswith("shifted: ")
    assert tab.text(".verdict-line").endswith("; time to train again")
    panels = tab.js("[...document.querySelectorAll('.drifting')].map((one) => one.textContent)")
    assert len(panels) == 1 + len(record)
    assert panels[0].startswith("Predicted classes")
    found = [float(text.split("PSI ")[1].split(",")[0]) for text in panels[1:]]
    assert found == sorted(found, reverse=True)
    assert any("category unseen in training 100 %" in text for text in panels if text.startswith("island"))
    assert any("far outside the training range 100 %" in text for text in panels if text.startswith("body_mass_g"))
    tab.js("document.querySelectorAll('.tabs button')[1].click(); document.querySelector('.bins').open = true")
    assert "250 rows in the last day" in tab.text("[role=status]")
    assert tab.js("document.querySelectorAll('.bins[open] tbody tr').length") > 1
    assert violations(tab, axe) == []


def test_performance_shows_what_was_tested_expected_and_labelled(tab: Tab, many: Service, axe: str) -> None:
    """The status in a line; a figure for each below one another, calibration and confusion; over each window."""
    record = ModelRepository(PUBLISHED).card("penguins", 1).golden[0].instance
    many.ask("/v1/models/birds-04:predict", {"instances": [record] * 3})
    tab.open(f"{many.url}/?model=birds-04&view=performance")
    tab.wait("document.querySelectorAll('.compared tbody tr').length === 2")
    assert tab.text(".verdict-line").startswith("too few labels: 0 in the last day")
    assert "POST /v1/feedback" in tab.text(".panel")
    headers = {"Content-Type": "application/json", "X-Request-Id": "seen-on-the-page"}
    body = json.dumps({"instances": [record] * 60}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{many.url}/v1/models/birds-04:predict", body, headers), timeout=5
    ).close()
    wrong = [{"id": "seen-on-the-page", "index": at, "label": "Gentoo"} for at in range(60)]
    assert many.ask("/v1/feedback", {"feedback": wrong})[1]["counted"] == 60
    tab.open(f"{many.url}/?model=birds-04&view=performance")
    tab.wait("document.querySelector('.confusion')")
    assert tab.text(".verdict-line").startswith("worse than expected: 0.0% of 60 labelled answers of the last day")
    names = tab.js("[...document.querySelectorAll('.compared tbody th')].map((one) => one.firstChild.textContent)")
    assert names == ["Test", "Expected", "Labelled", "Promised"]
    assert tab.js("document.querySelectorAll('.reliability circle').length") == 1
    assert tab.js("[...document.querySelectorAll('.confusion td')].map((one) => one.textContent)").count("60") == 1
    tab.js("document.querySelectorAll('.tabs button')[0].click(); document.querySelector('.bins').open = true")
    assert "63 rows and 60 labels in the last hour" in tab.text("[role=status]")
    assert violations(tab, axe) == []


def test_forty_models_are_found_by_name(tab: Tab, many: Service) -> None:
    """In the header by typing, and in the list."""
    tab.open(f"{many.url}/?model=penguins")
    answered(tab)
    tab.js("document.querySelector('.picker summary').click()")
    tab.wait("document.activeElement.type === 'search'")
    tab.write("-07")
    assert tab.js("[...document.querySelectorAll('.menu li')].filter((one) => !one.hidden).length") == 1
    tab.press("Enter")
    tab.wait("document.title.startsWith('birds-07')")
    tab.open(f"{many.url}/?model=penguins&view=versions")
    tab.wait("document.querySelectorAll('main .panel:last-child tbody tr').length === 40")


@pytest.mark.thorough
def test_750_features_stay_usable(tab: Tab, wide: Service, axe: str) -> None:
    """One is found by typing, and each change is answered."""
    tab.open(wide.url)
    answered(tab)
    assert tab.js("document.querySelectorAll('[data-feature]').length") == 750
    tab.js("document.querySelector('.finder input').focus()")
    tab.write("sensor 417")
    tab.wait("[...document.querySelectorAll('.field')].filter((one) => !one.hidden).length === 1")
    tab.press("Tab")
    assert tab.js("document.activeElement.dataset.feature") == "sensor 417 of the left engine"
    tab.press("ArrowUp")
    tab.wait("document.querySelector('.curve h2').textContent.includes('sensor 417')")
    assert violations(tab, axe) == []
    # The reasons of so many features may take more than the service has to spare.
    tab.errors[:] = [error for error in tab.errors if ":explain" not in error]


def test_the_docs_page_shows_every_operation(tab: Tab, many: Service, axe: str) -> None:
    """Without the internet: each operation with its schema and its example, which is answered; all of it is usable."""
    tab.open(f"{many.url}/docs")
    _, described = many.ask("/openapi.json")

    count = sum(len(methods) for methods in described["paths"].values())
    tab.wait(f"document.querySelectorAll('.operations .path').length === {count}")
    tab.js(
        "[...document.querySelectorAll('summary')].find((one) => one.textContent.includes('penguins:predict')).click()"
    )
    tab.wait("[...document.querySelectorAll('.schema code')].some((one) => one.textContent === 'bill_length_mm')")
    # What stands beside a reference is read too.
    assert "to 59.6 in training" in tab.text("main")
    tab.js("document.querySelector('.operations [open] button').click()")
    tab.wait("document.querySelector('.reply')?.textContent.startsWith('200')")
    assert violations(tab, axe) == []


def test_the_docs_page_finds_operations(tab: Tab, many: Service) -> None:
    """By model and protocol, which they are grouped by, and by any word of a line; what has none is not shown."""
    tab.open(f"{many.url}/docs")
    tab.wait("document.querySelector('.operations .one')")
    shown = "[...document.querySelectorAll('{}')].filter((one) => one.checkVisibility()).map((one) => one.textContent)"
    groups = tab.js(shown.format(".group h2"))
    assert groups == [*(f"birds-{number:02}" for number in range(39)), "penguins", "All models", "The service"]
    tab.js(
        "const finder = document.querySelector('.contents input'); finder.value = 'penguins protocol';"
        "finder.dispatchEvent(new Event('input'))"
    )

    assert tab.js(shown.format(".group h2")) == ["penguins"]
    assert tab.js(shown.format(".group h3")) == ["Open Inference Protocol V2"]
    assert tab.js(shown.format(".contents nav a")) == ["penguins"]
    paths = tab.js(shown.format(".path"))
    assert paths == ["/v2/models/penguins/infer", "/v2/models/penguins/versions/{version}/infer"]


KEY = "docs" * 10
EXAMPLES = """(() => {
  const found = [];
  for (const one of document.querySelectorAll('.one')) {
    one.open = true;
    one.dispatchEvent(new Event('toggle'));
    for (const tab of one.querySelectorAll('[data-sample]')) {
      tab.click();
      found.push([one.querySelector('.path').textContent, tab.dataset.sample,
                  one.querySelector('.samples code').textContent]);
    }
    one.open = false;
  }
  return found;
})()"""


@pytest.mark.thorough
def test_every_example_of_the_docs_page_runs(tab: Tab, tmp_path: Path) -> None:
    """In curl, Python and JavaScript, against a service that asks for keys; the page has a box for one, and shows it
    nowhere.
    """
    model = ModelRepository(PUBLISHED).read("penguins", 1)
    store = ModelRepository(tmp_path / "store")
    store.publish(model.card, {"model.onnx": model.onnx, "report.html": REPORT.encode()})
    (tmp_path / "keys").write_text(f"predict,metrics {KEY}\n")
    runners = {"curl": ["bash", "-c"], "Python": [sys.executable, "-c"]}
    if shutil.which("node"):
        runners["JavaScript"] = ["node", "--input-type=module", "-e"]
    with running(store.root, find_free_port(), EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys")) as service:
        service.wait()
        tab.open(f"{service.url}/docs")
        tab.wait("document.querySelector('#key')")
        tab.js(f"document.querySelector('#key').value = '{KEY}'; document.querySelector('form.key button').click()")
        tab.wait("document.querySelector('.keybox')")
        examples = tab.js(EXAMPLES)
        assert KEY not in tab.js("document.documentElement.outerHTML")
        environment = os.environ | {"EVENKEEL_API_KEY": KEY}
        for path, language, text in examples:
            if language not in runners:
                continue
            command = [*runners[language], text.replace("curl ", "curl -sS --fail-with-body ", 1)]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
            assert ran.returncode == 0, f"{path}, {language}:\n{text}\n{ran.stdout}{ran.stderr}"
            if "predict" in path:
                assert "Adelie" in ran.stdout
        tab.js("document.querySelector('.keybox .quiet').click()")
        tab.wait("document.querySelector('#key')")
        tab.errors[:] = [error for error in tab.errors if "401" not in error]

    assert len(examples) == 3 * 36
