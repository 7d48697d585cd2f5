"""The report in a real browser: nothing is refused by its own policy, nothing is asked for, everything fits."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.browser import FLAGS
from trainer.command_line import main

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

# Measures a page in a frame of a phone's width, and writes what it found into its own title.
FRAME = """<!doctype html><title>waiting</title>
<iframe id=phone style="width:390px;height:800px;border:0" src="{}"></iframe>
<script>document.getElementById("phone").onload = event => {{
  const page = event.target.contentDocument
  document.title = JSON.stringify([page.documentElement.scrollWidth, page.querySelectorAll("svg").length,
    getComputedStyle(page.body).backgroundColor])
}}</script>"""


@pytest.fixture(scope="module")
def report(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    flags = ["--target", "species", "--name", "penguins", "--epochs", "8", "--repository", str(folder / "store")]
    assert main(["fit", str(penguins), *flags]) == 0
    return folder / "store/penguins/1/report.html"


def browse(path: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """What the page became, and what the console and the network said."""
    logged = ["--enable-logging=stderr", "--allow-file-access-from-files", "--virtual-time-budget=4000"]
    command = ["chromium", *FLAGS, *logged, *flags, "--dump-dom", f"--user-data-dir={profile}", path.as_uri()]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ended.stdout, ended.stderr


def test_a_browser_has_nothing_to_complain_of(report: Path, tmp_path: Path) -> None:
    """No message in the console: the policy of the page, which allows nothing but its own style, refuses nothing."""
    seen, said = browse(report, tmp_path / "profile")

    assert "CONSOLE" not in said
    assert seen.count("<svg") == report.read_text().count("<svg") > 15


def test_the_policy_is_obeyed(report: Path, tmp_path: Path) -> None:
    """A page that did ask for something would be told so in the console, and would not get it."""
    other = tmp_path / "other.html"
    asking = '<img src="file:///etc/hostname"><script>document.title = "ran"</script></main>'
    other.write_text(report.read_text().replace("</main>", asking))
    seen, said = browse(other, tmp_path / "profile")

    assert said.count("Content Security Policy") >= 2
    assert "<title>ran" not in seen


@pytest.mark.parametrize(
    ("scheme", "paper"), [("1", "rgb(251, 250, 247)"), ("0", "rgb(20, 24, 29)")], ids=["light", "dark"]
)
def test_it_fits_a_phone_light_and_dark(report: Path, tmp_path: Path, scheme: str, paper: str) -> None:
    """Nothing is wider than 390 points but what scrolls by itself; the paper is the reader's."""
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(report.as_uri()))
    seen, _ = browse(frame, tmp_path / "profile", f"--blink-settings=preferredColorScheme={scheme}")
    found = re.search(r'<title>\[(\d+),(\d+),"(.*?)"\]', seen)

    assert found
    assert int(found[1]) <= 390
    assert int(found[2]) > 15
    assert found[3] == paper
