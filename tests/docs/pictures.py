"""Makes the pictures of the docs from a real demo: `python -m tests.docs.pictures` (needs a Chromium; some minutes).

docs/images/demo.png: what `taxomind demo` prints. lineage.png: the graph of assets in the web interface after it.
report.png: one figure of its error report. review-*.png: the review page of the same data.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.acceptance.browser import LINEAGE, PROGRAM, find_browser, look, own_environment, running_service, running_ui
from tests.acceptance.driver import Tab, driven

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
REPORT_FIGURE = "coverage_and_accuracy.png"
#: What stands in the picture for the folder that the demo ran in.
HOME = "~/taxomind"
COLUMNS = 112
_MARGIN = 40
_THEME = TerminalTheme(
    (250, 250, 250),
    (36, 41, 47),
    [(36, 41, 47), (176, 42, 55), (26, 127, 55), (154, 103, 0), (9, 105, 218), (130, 80, 223), (17, 117, 128), (110, 119, 129)],
)


def demo_output(folder: Path) -> str:
    """Run the demo in an empty folder and return what it prints, with its colours (ANSI)."""
    terminal = {"TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    done = subprocess.run(
        [str(PROGRAM), "demo"],
        cwd=folder,
        env={**own_environment(), **terminal},
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.replace(str(folder), HOME)


def draw_demo(output: str, target: Path) -> None:
    """A picture of a terminal."""
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True)
    console.print("[bold]$ make demo[/]\n")
    console.print(Text.from_ansi(output), soft_wrap=False)
    svg = console.export_svg(title="taxomind", theme=_THEME, font_aspect_ratio=0.6)
    # The picture uses a font of this machine instead of one from the web.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    width, height = (int(float(value)) + 1 for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "demo.html"
        page.write_text(f'<body style="margin:0;background:#fff">{svg}</body>', encoding="utf-8")
        look(page.as_uri(), target, (width, height))
    save_small(Image.open(target), target)


def draw_lineage(address: str, target: Path) -> None:
    """The graph of assets, cut out of the page."""
    width, height = 3000, 2400
    look(address + LINEAGE, target, (width, height), seconds=120)
    page = Image.open(target).convert("RGB")
    # In so wide a window the graph ends beside the controls in the corner.
    page.paste("white", (width - 50, height - 400, width, height))
    # Left of the graph are menus, above it a search field.
    graph = page.crop((545, 115, width, height))
    ink = np.asarray(graph).min(axis=2) < 215
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    drawn = graph.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    framed = Image.new("RGB", (drawn.width + 2 * _MARGIN, drawn.height + 2 * _MARGIN), "white")
    framed.paste(drawn, (_MARGIN, _MARGIN))
    save_small(framed, target)


def add_diary(data: Path) -> None:
    """A taxonomy with candidates for growth."""
    notes = EXAMPLES / "notes"
    command = ["taxonomy", "add", "diary", notes / "taxonomy.csv", "--texts", notes / "later" / "growing.csv", "--data", data]
    for arguments in (command, ["growth", "--taxonomy", "diary", "--data", data]):
        environment = {**own_environment(), "TAXOMIND_GROWTH__MIN_DAYS": "0"}
        subprocess.run([PROGRAM, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def draw_review(data: Path, images: Path) -> None:
    """The review page: queue and growth in the light, classify and report in the dark."""
    with running_service(data) as address, driven() as tab:
        at = f"{address}/review"
        tab.dress(1000, 940, scale=1.6)
        tab.open(f"{at}/isco08/queue")
        tab.press("/")
        tab.type("clerk")
        tab.wait("document.querySelectorAll('.item.current [role=option]').length > 2")
        tab.value("window.scrollTo(0, 0)")
        save_page(tab, images / "review-queue.png")
        tab.dress(1000, 900, scale=1.6)
        tab.open(f"{at}/diary/growth")
        save_page(tab, images / "review-growth.png")
        tab.dress(1000, 900, dark=True, scale=1.6)
        tab.open(f"{at}/isco08?text=nurse+on+a+children%27s+ward")
        save_page(tab, images / "review-classify-dark.png")
        tab.dress(1000, 1100, dark=True, scale=1.6)
        tab.open(f"{at}/isco08/report")
        save_page(tab, images / "review-report-dark.png")


def save_page(tab: Tab, target: Path) -> None:
    """What the browser shows."""
    tab.value("document.activeElement.blur && !document.querySelector('[aria-expanded=true]') && document.activeElement.blur()")
    tab.shoot(target)
    save_small(Image.open(target), target)


def save_small(image: Image.Image, target: Path) -> None:
    """Write a PNG with a palette of 128 colours."""
    image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> int:
    """Make all pictures."""
    if find_browser() is None:
        print("There is no Chromium on the PATH.", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        draw_demo(demo_output(folder), IMAGES / "demo.png")
        figures = folder / "data" / "outputs" / "reports" / "figures" / "taxonomy_key=isco08"
        save_small(Image.open(figures / REPORT_FIGURE), IMAGES / "report.png")
        with running_ui(folder / "data") as address:
            draw_lineage(address, IMAGES / "lineage.png")
        add_diary(folder / "data")
        draw_review(folder / "data", IMAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
