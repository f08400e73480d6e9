"""Text of users stays text in LaTeX, Markdown, HTML, terminals and figures."""

import io
import warnings

import pytest

from covidseg.base import text

HOSTILE = ["a$\\frac{$b", "[/nope]", "[ours] SSA-Net", "[bold]x[/bold]", ":smile:", "_x_", "*x*", "`x`", "<b>x</b>",
           "a|b", "# x", "1. x", "a--b", "&amp;", "[a](http://b)", "$x$ and $y$", "%", "x_y"]  # fmt: skip


@pytest.mark.parametrize(
    ("plain", "latex"),
    [
        ("a$\\frac{$b", "a\\$\\textbackslash{}frac\\{\\$b"),
        ("m4_x & 5 %", "m4\\_x \\& 5 \\%"),
        ("a--b - c", "a-{}-b - c"),
        ("[ours]\nx", "{[}ours] x"),
        ("0.5 ± 0.1 – `x`", "0.5 $\\pm$ 0.1 -- \\textasciigrave{}x\\textasciigrave{}"),
    ],
)
def test_latex(plain: str, latex: str) -> None:
    assert text.latex(plain) == latex


@pytest.mark.parametrize(
    ("plain", "markdown"),
    [
        ("m4_x and _y_", "m4_x and \\_y\\_"),
        ("a|b *c* `d`", "a\\|b \\*c\\* \\`d\\`"),
        ("[-0.01, +0.03]", "[-0.01, +0.03]"),
        ("[ours] SSA-Net", "[ours] SSA-Net"),
        ("[a](http://b)", "[a\\](http://b)"),
        ("< 0.001 <b> &amp; $x$", "< 0.001 \\<b> \\&amp; \\$x\\$"),
        ("# x\n- y", "\\# x - y"),
        ("2. study", "2\\. study"),
        ("-0.01", "-0.01"),
    ],
)
def test_markdown(plain: str, markdown: str) -> None:
    assert text.markdown(plain) == markdown


def test_html() -> None:
    assert text.html("<script>\"'&") == "&lt;script&gt;&quot;&#x27;&amp;"


@pytest.mark.parametrize("words", HOSTILE)
def test_a_terminal_prints_what_it_is_given(words: str) -> None:
    from rich.table import Table

    out = io.StringIO()
    console = text.console(out, width=80)
    table = Table(title=words, caption=words)
    table.add_column(words)
    table.add_row(words)
    console.print(words)
    console.print(table)
    assert out.getvalue().count(words) == 5


@pytest.mark.parametrize("words", HOSTILE)
def test_figures_draw_what_they_are_given(words: str) -> None:
    from matplotlib.figure import Figure

    from covidseg.figures.page import in_our_look, wrap

    @in_our_look
    def drawn() -> Figure:
        drawing = Figure()
        axis = drawing.subplots()
        axis.set_title(wrap(words, 3, 8))
        (line,) = axis.plot([0, 1], [0, 1])
        text.legend(axis, {words: line})
        drawing.savefig(io.BytesIO(), format="pdf")
        return drawing

    with warnings.catch_warnings(action="error"):
        drawing = drawn()
    axis = drawing.axes[0]
    assert not axis.title.get_parse_math()
    assert [entry.get_text() for entry in axis.get_legend().get_texts()] == [words]


def test_progress_bars_show_titles_as_they_are() -> None:
    from covidseg.train.progress import _bar

    stream = io.StringIO()
    bar = _bar(stream)
    bar.add_task("[red]x/[/nope]", total=2, text="[b]loss")
    bar.console.width = 100
    bar.console.print(bar)
    assert "[red]x/[/nope]" in stream.getvalue()
    assert "[b]loss" in stream.getvalue()
