import csv
import io
import json
import math
import re
import subprocess
from shutil import which

import pytest

from analysis import render
from analysis.tables.comparison import compare

GOLDEN_TEXT = """\
update       tau  done   test/top1 ± sd            difference [95%]     p (Holm)   rate  left out
────────────────────────────────────────────────────────────────────────────────────────────────────
accumulate  1.25   3/3  0.9540 ± 0.0070  -0.0060 [-0.0126, +0.0006]  n too small  0.125
accumulate   2.0   3/3  0.9600 ± 0.0062                    baseline            -  0.125
online      1.25   2/3    0.921 ± 0.013        -0.03 [-0.14, +0.07]  n too small  0.125  1 failed
online       2.0   0/3                -                           -            -      -  1 diverged,
                                                                                         1 stopped
                                                                                         early, 1
                                                                                         missing

test/top1 at the last epoch of finished trials; higher is better.
± is the standard deviation over seeds; [low, high] a 95% t interval.
Baseline: rule.update=accumulate neuron.tau=2.0.
Differences are paired by seed; p is from the exact two-sided sign-flip test, Holm-adjusted over 2
comparisons.
n too small: with fewer than 6 pairs no difference can reach p <= 0.05.
Detectable with 80% power: 0.022 with 3 seeds, 0.012 with 5 seeds, 0.0069 with 10 seeds (one
difference, paired t test at 0.05, two-sided; standard deviation of paired differences 0.0069,
pooled over 2 variants).
Left out of the differences, having no partner: rule.update=online neuron.tau=1.25 lacks seed 1;
rule.update=online neuron.tau=2.0 lacks seeds 0, 1, 2.
P(better): chance that a trial has a higher test/top1 than one of the baseline, ties half.
Left out of the means: 1 failed, 1 diverged, 1 stopped early, 1 missing.
Not shown for lack of width: P(better), s/epoch.
"""

GOLDEN_MARKDOWN_TABLE = r"""
| rule.update | neuron.tau | done | left out | test/top1 ± sd | 95% interval | difference \[95%\] | p (Holm) | rate | P(better) | s/epoch |
| :--- | ---: | ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| accumulate | 1.25 | 3/3 |  | 0.9540 ± 0.0070 | \[0.937, 0.971\] | -0.0060 \[-0.0126, +0.0006\] | n too small | 0.125 | 0.222 | 0.420 |
| accumulate | 2.0 | 3/3 |  | **0.9600 ± 0.0062** | \[0.944, 0.976\] | baseline | - | 0.125 | - | 0.420 |
| online | 1.25 | 2/3 | 1 failed | 0.921 ± 0.013 | \[0.80, 1.00\] | -0.03 \[-0.14, +0.07\] | n too small | 0.125 | 0 | 0.420 |
| online | 2.0 | 0/3 | 1 diverged, 1 stopped early, 1 missing | - | - | - | - | - | - | - |
""".lstrip()  # noqa: E501

GOLDEN_ONE_SEED = """\
update      done  test/top1  difference
───────────────────────────────────────
accumulate   1/1     0.9000    baseline
online       1/1     0.9100     +0.0100

test/top1 at the last epoch of finished trials; higher is better.
No variant has two finished seeds: no spread, no interval, no test.
Baseline: rule.update=accumulate neuron.tau=2.0 (the first variant: none is named).
"""

GOLDEN_SIX_SEEDS = """\
update      done  test/top1 ± sd         difference [95%]  p (Holm)  P(better)
──────────────────────────────────────────────────────────────────────────────
accumulate   6/6   0.925 ± 0.019                 baseline         -          -
online       6/6   0.958 ± 0.034  +0.032 [+0.016, +0.049]     0.031      0.792

test/top1 at the last epoch of finished trials; higher is better.
± is the standard deviation over seeds; [low, high] a 95% t interval.
Baseline: rule.update=accumulate neuron.tau=2.0 (the first variant: none is named).
Differences are paired by seed; p is from the exact two-sided sign-flip test, Holm-adjusted over 1 comparison.
Detectable with 80% power: 0.022 with 6 seeds, 0.015 with 10 seeds, 0.010 with 20 seeds (one difference, paired t test at 0.05, two-sided; standard deviation of paired differences 0.015, pooled over 1 variant).
P(better): chance that a trial has a higher test/top1 than one of the baseline, ties half.
"""  # noqa: E501

GOLDEN_LATEX = r"""
\begin{tabular}{lrrlrrrrrrr}
\toprule
rule.update & neuron.tau & done & left out & test/top1 $\pm$ sd & 95\% interval & difference [95\%] & p (Holm) & rate & P(better) & s/epoch \\
\midrule
accumulate & 1.25 & 3/3 &  & 0.9540 $\pm$ 0.0070 & [0.937, 0.971] & $-$0.0060 [$-$0.0126, +0.0006] & n too small & 0.125 & 0.222 & 0.420 \\
accumulate & 2.0 & 3/3 &  & \textbf{0.9600 $\pm$ 0.0062} & [0.944, 0.976] & baseline & - & 0.125 & - & 0.420 \\
online & 1.25 & 2/3 & 1 failed & 0.921 $\pm$ 0.013 & [0.80, 1.00] & $-$0.03 [$-$0.14, +0.07] & n too small & 0.125 & 0 & 0.420 \\
online & 2.0 & 0/3 & 1 diverged, 1 stopped early, 1 missing & - & - & - & - & - & - & - \\
\bottomrule
\end{tabular}

{\par\smallskip\footnotesize
test/top1 at the last epoch of finished trials; higher is better.
""".lstrip()  # noqa: E501

GOLDEN_HTML = """\
<table>
<thead><tr><th scope="col">rule.update</th><th scope="col" class="number">done</th><th scope="col" class="number">test/top1</th><th scope="col" class="number">difference</th></tr></thead>
<tbody>
<tr><td>&lt;script&gt;alert(1)&lt;/script&gt;</td><td class="number">1/1</td><td class="number">0.9000</td><td class="number">baseline</td></tr>
<tr><td>&quot;a&quot; &amp; b</td><td class="number">1/1</td><td class="number"><strong>0.9100</strong></td><td class="number">+0.0100</td></tr>
</tbody>
</table>
<ul>
<li>test/top1 at the last epoch of finished trials; higher is better.</li>
<li>No variant has two finished seeds: no spread, no interval, no test.</li>
<li>Baseline: rule.update=&lt;script&gt;alert(1)&lt;/script&gt; neuron.tau=2.0 (the first variant: none is named).</li>
</ul>
"""  # noqa: E501

SIGNS = r"a_b & 50% $x^2$ {\c} #1 ~ [q] -- -1"


@pytest.fixture
def comparison(make_runs):
    """Every way for a trial to be left out, on two axes."""
    values = {
        ("accumulate", 1.25): [0.951, 0.962, 0.949],
        ("accumulate", 2.0): [0.955, 0.967, 0.958],
        ("online", 1.25): [0.912, "failed", 0.931],
        ("online", 2.0): ["diverged", "stopped-early", "missing"],
    }
    runs = make_runs(values, baseline={"rule.update": "accumulate", "neuron.tau": 2.0})
    runs["rate/total"] = 0.125
    runs["time/epoch_s"] = 0.42
    return compare(runs)


def test_text_at_100_columns(comparison):
    assert render.text(comparison, width=100) == GOLDEN_TEXT


def test_text_of_one_seed(make_runs):
    comparison = compare(make_runs({("accumulate", 2.0): [0.9], ("online", 2.0): [0.91]}))
    assert render.text(comparison) == GOLDEN_ONE_SEED


def test_text_of_six_seeds(make_runs):
    accumulate = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95]
    online = [0.91, 0.93, 0.95, 0.97, 0.99, 0.995]
    comparison = compare(make_runs({("accumulate", 2.0): accumulate, ("online", 2.0): online}))
    assert render.text(comparison) == GOLDEN_SIX_SEEDS


def test_text_without_a_limit_shows_every_column_on_one_line(comparison):
    lines = render.text(comparison).splitlines()
    assert lines[0].split()[-4:] == ["P(better)", "s/epoch", "left", "out"]
    assert lines[5].endswith("1 diverged, 1 stopped early, 1 missing")


@pytest.mark.parametrize("width", [20, 60, 80])
def test_narrow_text_never_breaks_a_number(comparison, width):
    text = render.text(comparison, width=width)
    for cell in ("0.9540 ± 0.0070", "-0.0060 [-0.0126, +0.0006]", "n too small", "accumulate", "1 failed"):
        assert cell in text
    assert "Not shown for lack of width: rate, P(better), s/epoch." in " ".join(text.split())


def test_only_coloured_text_has_escape_codes_and_stresses_the_best_mean(comparison):
    coloured = render.text(comparison, colour=True)
    body = coloured.splitlines()[2:]
    assert re.findall(r"\x1b\[1m(.*?)\x1b\[0m", "\n".join(body)) == ["0.9600 ± 0.0062"]
    assert re.sub(r"\x1b\[\d*m", "", "\n".join(body)) == "\n".join(render.text(comparison).splitlines()[2:])
    assert "\x1b" not in render.text(comparison)


def test_the_best_of_a_metric_to_be_lowered_is_the_lowest(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.4], ("online", 2.0): [0.3]}, metric="test/loss")
    markdown = render.markdown(compare(runs, metric="test/loss"))
    assert "**0.3000**" in markdown
    assert "**0.4000**" not in markdown


def test_no_value_is_best_where_neither_direction_is_better(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.4], ("online", 2.0): [0.3]}, metric="optim/lr")
    assert "**" not in render.markdown(compare(runs, metric="optim/lr"))


def test_markdown(comparison):
    table, notes = render.markdown(comparison).split("\n\n")
    assert table + "\n" == GOLDEN_MARKDOWN_TABLE
    assert notes.startswith("- test/top1 at the last epoch of finished trials; higher is better.\n- ± is the")
    assert notes.endswith("- Left out of the means: 1 failed, 1 diverged, 1 stopped early, 1 missing.\n")


def test_settings_of_one_last_name_keep_their_groups(make_runs):
    runs = make_runs({("a", "sgd"): [0.9], ("b", "adam"): [0.8]}, axes=["model.name", "optim.name"])
    header = render.text(compare(runs)).splitlines()[0].split()
    assert header[:2] == ["model.name", "optim.name"]


def test_markup_in_names_is_text(make_runs):
    names = ["[bold]a|b[/bold] *x*", "line\nbreak \x1b[31m<script>"]
    comparison = compare(make_runs({(name, 2.0): [0.9] for name in names}))
    text = render.text(comparison, colour=True)
    assert "[bold]a|b[/bold] *x*" in text
    assert r"line\nbreak \x1b[31m<script>" in text
    markdown = render.markdown(comparison)
    assert r"| \[bold\]a\|b\[/bold\] \*x\* |" in markdown
    assert r"line\\nbreak \\x1b\[31m\<script\>" in markdown
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in markdown.split("\n\n")[0].splitlines()]
    assert set(cells) == {5}


def test_csv_holds_everything_in_full_precision(comparison):
    rows = list(csv.DictReader(io.StringIO(render.csv(comparison))))
    assert [row["label"] for row in rows] == comparison.table["label"].tolist()
    for name in ("mean", "sd", "ci_low", "difference_high"):
        assert float(rows[0][name]) == comparison.table[name].tolist()[0]
    assert [rows[2][f"seed_{seed}"] for seed in range(3)] == ["0.912", "", "0.931"]
    assert (rows[3]["diverged"], rows[3]["stopped_early"], rows[3]["missing"]) == ("1", "1", "1")
    assert (rows[3]["mean"], rows[3]["unpaired"]) == ("", "0 1 2")


def test_json_holds_everything_in_full_precision(comparison):
    document = json.loads(render.json(comparison))
    assert (document["sweep"], document["metric"], document["better"]) == ("demo", "test/top1", "higher")
    assert document["axes"] == ["rule.update", "neuron.tau"]
    assert document["notes"] == list(comparison.notes)
    first, *_, last = document["rows"]
    assert first["values"] == {"0": 0.951, "1": 0.962, "2": 0.949}
    assert first["sd"] == comparison.table["sd"].tolist()[0]
    assert (first["rule.update"], first["neuron.tau"], first["is_baseline"]) == ("accumulate", 1.25, False)
    assert last["mean"] is None
    assert last["unpaired"] == [0, 1, 2]
    assert math.isnan(comparison.table["mean"].tolist()[-1])


def test_latex(comparison):
    assert render.latex(comparison).startswith(GOLDEN_LATEX)
    assert render.latex(comparison).endswith(
        "Left out of the means: 1 failed, 1 diverged, 1 stopped early, 1 missing.\n\\par}\n"
    )


def test_signs_of_latex_in_names_are_text(make_runs):
    latex = render.latex(compare(make_runs({(name, 2.0): [0.9] for name in (SIGNS, "[x] -- *")})))
    escaped = r"a\_b \& 50\% \$x\textasciicircum{}2\$ \{\textbackslash{}c\} \#1 \textasciitilde{} [q] -{}- $-$1"
    assert f"\n{escaped} & 1/1" in latex
    assert "\n{}[x] -{}- * & 1/1" in latex  # else `[x]` were an argument of the row before


def test_latex_with_a_caption_is_a_table(comparison):
    bare, floating = render.latex(comparison), render.latex(comparison, caption="5 % of $x$ & a_b", label="tab:x_1")
    begin, end = "\\begin{table}\n\\centering\n\\caption{5 \\% of \\$x\\$ \\& a\\_b}\n", "\\end{table}\n"
    assert floating == f"{begin}\\label{{tab:x_1}}\n{bare}{end}"
    assert render.latex(comparison, caption="") == f"\\begin{{table}}\n\\centering\n\\caption{{}}\n{bare}{end}"


@pytest.mark.skipif(which("pdflatex") is None, reason="no TeX is installed")
def test_latex_compiles(comparison, make_runs, tmp_path):
    names = compare(make_runs({(name, 2.0): [0.9] for name in (SIGNS, "[x] *", '<"script">|', "*")}))
    body = render.latex(comparison, caption=SIGNS, label="tab:a_b") + render.latex(names) + r"\ref{tab:a_b}"
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "table.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 10_000


def test_html_escapes_what_stands_in_names(make_runs):
    runs = make_runs({("<script>alert(1)</script>", 2.0): [0.9], ('"a" & b', 2.0): [0.91]})
    assert re.sub(r' style="[^"]*"', "", render.html(compare(runs))) == GOLDEN_HTML


def test_every_way_to_be_left_out_is_in_every_format(comparison):
    for form in (render.text, render.markdown, render.latex, render.html):
        shown = " ".join(form(comparison).split())
        for reason in ("1 failed", "1 diverged", "1 stopped early", "1 missing"):
            assert reason in shown, (form.__name__, reason)
    last = json.loads(render.json(comparison))["rows"][-1]
    assert (last["diverged"], last["stopped_early"], last["missing"], last["failed"]) == (1, 1, 1, 0)
    rows = list(csv.DictReader(io.StringIO(render.csv(comparison))))
    assert (rows[2]["failed"], rows[3]["diverged"], rows[3]["stopped_early"], rows[3]["missing"]) == (
        "1",
        "1",
        "1",
        "1",
    )
