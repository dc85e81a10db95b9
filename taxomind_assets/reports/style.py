"""One look for all figures: light, colour-blind safe, readable when shown 800 pixels wide."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PIXELS: Final = 1200
HEIGHT_PIXELS: Final = 720
_DOTS_PER_INCH: Final = 150
_COLOURS: Final = 128

# Okabe and Ito (2008), in an order that also differs in lightness.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, MUTED, FAINT, PAPER = "#1F2933", "#5F6B76", "#E3E7EB", "#FFFFFF"
SERIES: Final = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)
OUTCOME_COLOURS: Final = {
    "right": BLUE,
    "under": "#8CC4E8",
    "over": "#F2C45A",
    "wrong_branch": VERMILION,
    "abstained": "#C3CAD1",
}

_STYLE: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": "#AAB4BE",
    "axes.facecolor": PAPER,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "grid.color": FAINT,
    "grid.linewidth": 0.9,
    "lines.linewidth": 2.2,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
}


class Canvas:
    """A figure being drawn; `png` holds the bytes afterwards."""

    figure: Figure
    png: bytes = b""


@contextmanager
def canvas(title: str, subtitle: str, *, height_pixels: int = HEIGHT_PIXELS) -> Iterator[Canvas]:
    """Draw a figure `WIDTH_PIXELS` wide without pyplot (no global state, no display); the layout leaves room for the title.

    Args:
        title: what the figure shows.
        subtitle: on how many texts, and how to read it.
        height_pixels: height of the picture.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Canvas()
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        inches = height_pixels / _DOTS_PER_INCH
        drawn.figure = Figure(figsize=(WIDTH_PIXELS / _DOTS_PER_INCH, inches), dpi=_DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(drawn.figure)
        engine = drawn.figure.get_layout_engine()
        head = 0.72 / inches
        if engine is not None:
            engine.set(rect=(0.012, 0.012, 0.976, 0.976 - head))  # type: ignore[call-arg]
        drawn.figure.text(0.02, 1 - 0.13 / inches, title, fontsize=15, fontweight="bold", va="top")
        drawn.figure.text(0.02, 1 - 0.44 / inches, subtitle, fontsize=10.5, color=MUTED, va="top")
        yield drawn
        drawn.png = _small_png(drawn.figure)


def _small_png(figure: Figure) -> bytes:
    """The figure as a PNG with a palette: a third of the size, which matters in metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    small = io.BytesIO()
    # Dithering would put grain on the plain areas.
    picture = Image.open(buffer).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True)
    return small.getvalue()


def per_cent_axis(axes: Axes, which: str) -> None:
    """Show the shares of an axis (`x` or `y`) as per cent."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    # Whole steps only: a step of 2.5% would be shown as 2%, 5%, 8%.
    steps = [1, 2, 5, 10] if high - low > 0.05 else [1, 10]
    axis.set_major_locator(MaxNLocator(nbins=max(1, min(6, int(100 * (high - low)))), steps=steps))
    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def message(title: str, text: str) -> bytes:
    """A figure of the usual size that says why there is nothing to show."""
    with canvas(title, "") as drawn:
        drawn.figure.text(0.5, 0.45, text, ha="center", va="center", fontsize=13, color=MUTED)
    return drawn.png


def as_markdown_image(png: bytes, alt: str) -> str:
    """A PNG as a Markdown image with a data URI, for Dagster metadata.

    Args:
        png: bytes of the picture.
        alt: what it shows; brackets and line breaks are dropped.
    """
    safe = " ".join(alt.translate(str.maketrans("", "", "[]")).split())
    return f"![{safe}](data:image/png;base64,{base64.b64encode(png).decode()})"


def cut(text: str, most: int) -> str:
    """At most `most` characters, the cut marked."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip(' ,;')}\u2026"


def short_count(count: int) -> str:
    """A count in at most four characters: 950, 1.2k, 38k, 1.1M."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1000:.1f}k" if count < 9_950 else f"{count / 1000:.0f}k"
    return f"{count / 1_000_000:.1f}M"
