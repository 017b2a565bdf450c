"""The forms for people: what they look like, and that no text can break them."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.reporting import ReportFormat
from bench.reporting.layout import alignment, beside
from bench.reporting.remarks import complaints
from bench.reporting.units import UNKNOWN
from bench.reporting.view import views
from bench.storage.streams import one_line
from bench_reports import latex, markdown
from bench_reports.latex import LATEX
from bench_reports.markdown import MARKDOWN
from bench_reports.table import TABLE

Row = dict[str, Any]
RowMaker = Callable[..., Row]
Golden = Callable[[str, str], None]

FORMS: list[ReportFormat] = [TABLE, MARKDOWN, LATEX]
NUMBERS = (
    *("top1_mean", "top1_std", "top5_mean", "epochs", "ms_per_image_iteration", "iterations", "prepare_s"),
    *("warm_up_s", "synthesis_s", "label_s", "evaluation_s", "seconds_per_image", "peak_memory_bytes"),
    *("set_bytes", "label_bytes", "teacher_top1", "label_kind"),
)
FROM_FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)


@pytest.mark.parametrize("width", [120, 80])
def test_table_looks_as_agreed(rows: list[Row], golden: Golden, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = TABLE.render(rows, claims=True)
    assert max(map(len, text.splitlines())) <= width
    golden(f"table-{width}.txt", text)


def test_markdown_looks_as_agreed(rows: list[Row], golden: Golden) -> None:
    golden("report.md", MARKDOWN.render(rows, claims=True))


def test_latex_looks_as_agreed(rows: list[Row], golden: Golden) -> None:
    golden("report.tex", LATEX.render(rows, claims=True))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_without_claims_no_published_number_is_shown(rows: list[Row], form: ReportFormat) -> None:
    assert "SRe2L paper Table 4" in form.render(rows, claims=True)
    text = form.render(rows, claims=False)
    assert "published" not in text
    assert "SRe2L paper Table 4" not in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_quick_run_says_that_the_claim_had_the_papers_budget(row: RowMaker, form: ReportFormat) -> None:
    claim = {"value": 41.1, "std": None, "source": "SRe2L paper Table 4", "note": "printed so", "budget": "paper"}
    text = form.render([row(claim=claim)], claims=True)
    assert "SRe2L paper Table 4; printed so; at the paper's budget, not this run's" in text
    assert "at the paper's budget" not in form.render([row(claim=claim, budget="paper")], claims=True)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_differs_from_the_paper_stands_in_the_claims_footnote(row: RowMaker, form: ReportFormat) -> None:
    claim = {"value": 41.1, "std": None, "source": "Table 4", "note": "", "budget": "quick"}
    text = form.render([row(claim=claim, differs=["another network", "evaluation in bf16"])], claims=True)
    assert "Table 4; differing here: another network, evaluation in bf16" in " ".join(text.split())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_bytes_of_images_in_several_forms_are_told_apart_in_a_note(row: RowMaker, form: ReportFormat) -> None:
    kinds = {"sre2l": "jpeg", "rded": "jpeg", "dc": "float32", "old": None}
    made = [row(method=method) | {"image_format": kind} for method, kind in kinds.items()]
    assert "image bytes: float32 of dc; jpeg of rded, sre2l" in " ".join(form.render(made, claims=False).split())
    assert "jpeg of" not in form.render(made[:2], claims=False)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("name", ["method", "seed", "label_bytes", "evaluation", "iterations", "published"])
def test_a_metric_of_a_columns_name_takes_no_columns_place(row: RowMaker, form: ReportFormat, name: str) -> None:
    """Both are shown: the metric, 7.25 and 8.25, and what the column of that title has of the row."""
    claim = {"value": 41.1, "std": None, "source": "Table 4", "note": "", "budget": "quick"}
    made = [
        row(claim=claim, seed=seed) | {"metrics": {name: {"mean": seed + 7.25, "std": None, "values": [], "unit": ""}}}
        for seed in (0, 1)
    ]
    text, plain = (form.render(rows, claims=True) for rows in (made, [row(claim=claim, seed=seed) for seed in (0, 1)]))
    added = Counter(text.split()) - Counter(plain.split())
    assert added["7.25"] == added["8.25"] == 1 and "(metric)" in text
    assert not [each for each in Counter(plain.split()) - Counter(text.split()) if each.isalnum()]


def test_metrics_of_one_title_have_columns_of_their_own(row: RowMaker) -> None:
    alike = {"loss_end": {"mean": 1.25, "values": [], "unit": ""}, "loss": {"mean": 2.5, "values": [], "unit": "end"}}
    text = TABLE.render([row() | {"metrics": alike}], claims=False)
    assert "1.25" in text and "2.50" in text and "loss end (metric)" in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_one_source_has_one_footnote(row: RowMaker, form: ReportFormat) -> None:
    claim = {"value": 41.1, "std": 0.4, "source": "Table 4", "note": "", "budget": "paper"}
    made = [row(method=f"m{number}", claim={**claim, "value": 40.0 + number}) for number in range(3)]
    text = form.render([*made, row(method="other", claim={**claim, "source": "Table 7"})], claims=True)
    assert text.count("Table 4") == 1
    assert len(set(re.findall(r"\[\d+", text.replace("{[}", "[")))) == 2


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_rows_that_would_look_the_same_are_told_apart(row: RowMaker, form: ReportFormat) -> None:
    alike = [row(run="sre2l-tiny-s0-aaaaaa"), row(run="sre2l-tiny-s0-bbbbbb", top1_mean=45.0)]
    text = form.render(alike, claims=True)
    assert "aaaaaa" in text
    assert "bbbbbb" in text
    seeds = form.render([row(seed=0), row(seed=1)], claims=True)
    assert "seed " in seeds
    assert "3f9c2a" not in seeds


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_arithmetic_of_images_is_a_column_where_it_is_not_the_headings(
    row: RowMaker, control: RowMaker, form: ReportFormat
) -> None:
    assert "made" not in form.render([row(), control()], claims=False)
    text = form.render([row(), row(method="dc", synthesis_precision="fp32"), control()], claims=False)
    assert "made" in text and "fp32" in text
    twice = form.render([row(method="dc"), row(method="dc", synthesis_precision="fp32", run="dc-0a1b2c")], claims=False)
    assert "0a1b2c" not in twice, "told apart by it"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_evaluations_share_is_a_column_of_its_own_where_they_do(row: RowMaker, form: ReportFormat) -> None:
    shared = form.render([row(evaluation_prepare_s=266.0, label_kind="teacher")], claims=True)
    assert "4.43" in shared and "shared" in shared
    assert "shared" not in form.render([row()], claims=True)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_labels_and_teachers_that_differ_get_columns(row: RowMaker, control: RowMaker, form: ReportFormat) -> None:
    text = form.render([row(), row(method="cda", teacher_top1=68.25), control()], claims=True)
    for shown in ("online, sre2l", "online, cda", "68.25", "71.40"):
        assert shown in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_sets_own_soft_labels_name_their_method(row: RowMaker, form: ReportFormat) -> None:
    own = {"label_kind": "soft", "teacher_backbone": None, "teacher_top1": None}
    text = form.render([row(method="mtt", **own), row(method="datm", **own)], claims=True)
    assert "soft, mtt" in text and "soft, datm" in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_how_images_were_seen_is_a_column_where_some_were_whitened(row: RowMaker, form: ReportFormat) -> None:
    plain = row(method="dm", preprocessing="normalised")
    mixed = form.render([row(method="mtt", preprocessing="zca"), plain], claims=True)
    assert "zca" in mixed and "normalised" in mixed
    assert "normalised" not in form.render([plain, row(method="sre2l", preprocessing=None)], claims=True)


@FROM_FIXTURES
@given(gone=st.sets(st.sampled_from(NUMBERS)), form=st.sampled_from(FORMS))
def test_what_is_not_known_is_a_dash(row: RowMaker, control: RowMaker, gone: set[str], form: ReportFormat) -> None:
    text = form.render([row(**dict.fromkeys(gone)), control()], claims=True)
    words = re.findall(r"[A-Za-z]+", text)
    assert not {"nan", "NaN", "None", "null"} & set(words)
    if "top1_mean" in gone and not gone & {"epochs", "label_kind"}:  # without these the rows part
        assert ("--" if form is LATEX else UNKNOWN) in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_method_that_prepares_nothing_has_no_time_of_it(row: RowMaker, control: RowMaker, form: ReportFormat) -> None:
    nothing = control(prepare_s=6.75e-6)
    both = form.render([row(prepare_s=0.001), nothing], claims=False)
    assert "1.00" in both and "0.00675" not in both
    assert "prepare" not in form.render([nothing], claims=False)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_column_without_any_value_is_left_out(row: RowMaker, form: ReportFormat) -> None:
    assert "warm-up" in form.render([row()], claims=True)
    assert "warm-up" not in form.render([row(warm_up_s=None)], claims=True)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_failed_rows_are_named_with_their_reason(failure: RowMaker, form: ReportFormat) -> None:
    text = form.render([failure(status="refused", reason="two\nlines \x1b[31m")], claims=True)
    assert "refused: cda, tiny-imagenet, ipc 10, convnet4-bn, paper on convnet4-bn: two lines" in " ".join(text.split())
    assert "\x1b" not in text


@FROM_FIXTURES
@given(text=st.text(max_size=40))
def test_markdown_cells_hold_any_text(row: RowMaker, text: str) -> None:
    rendered = MARKDOWN.render([row(method=f"a{text}"), row(method="b")], claims=True)
    table = [line for line in rendered.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1] for line in table]
    assert len({len(line) for line in cells}) == 1
    shown = [re.sub(r"\\(.)", r"\1", line[0].strip()) for line in cells[2:]]
    assert one_line(f"a{text}") in [one_line(each) for each in shown]


@given(st.text(max_size=60))
def test_markdown_escaping_loses_nothing(text: str) -> None:
    assert re.sub(r"\\(.)", r"\1", markdown.escaped(text), flags=re.DOTALL) == text


@given(st.text(max_size=60))
def test_latex_escaping_loses_nothing_and_leaves_no_command(text: str) -> None:
    """Of letters that pdfTeX has not, it shows the numbers, and other TeX the letters."""
    escaped = re.sub(r"\{\\ifdefined\\Umathcode (.+?)\\else (.+?)\\fi\}", _foreign, latex.escaped(text))
    back = {written: sign for sign, written in latex.SIGNS.items() if sign != "–"} | {"-{}": "-"}
    pattern = re.compile("|".join(map(re.escape, sorted(back, key=len, reverse=True))))
    rest = pattern.sub("", escaped)
    assert not set(rest) & set("\\&%$#_{}~^")
    assert pattern.sub(lambda found: back[found[0]], escaped) == text.replace("–", "--")


def _foreign(found: re.Match[str]) -> str:
    assert "".join(chr(int(number.removeprefix("U+"), 16)) for number in found[2].split(" ")) == found[1]
    return found[1]


def test_latex_has_no_letter_that_pdftex_has_not() -> None:
    shown = latex.escaped("a方法 Łódź naïve α")
    assert shown == (
        r"a{\ifdefined\Umathcode 方法\else U+65B9 U+6CD5\fi} Łódź naïve {\ifdefined\Umathcode α\else U+03B1\fi}"
    )
    assert latex.escaped("--over a---b") == "-{}-over a-{}-{}-b"


@FROM_FIXTURES
@given(text=st.text(max_size=40))
def test_latex_rows_hold_any_text(row: RowMaker, failure: RowMaker, text: str) -> None:
    rendered = LATEX.render([row(method=f"a{text}"), row(method="b"), failure(reason=text)], claims=True)
    for sides, table in re.findall(r"(?s)\\begin\{(?:tabular|longtable)\}\{(\w+)\}\n(.*?)\\end\{", rendered):
        lines = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(sides) - 1}
    set_by_tex = re.sub(r"(?m)^%.*", "", rendered)
    assert set_by_tex.count(r"\begin{") == set_by_tex.count(r"\end{")
    for line in rendered.splitlines():
        assert "failed: cda" not in line or line.startswith("%")


@FROM_FIXTURES
@given(text=st.text(max_size=200))
def test_table_cells_and_reasons_stay_in_their_lines(row: RowMaker, failure: RowMaker, text: str) -> None:
    plain = TABLE.render([row(), failure(reason="x")], claims=True)
    odd = TABLE.render([row(method=f"a{text}"), failure(reason="x")], claims=True)
    assert all(character.isprintable() for line in odd.split("\n") for character in line)
    assert odd.count("Without a result") == plain.count("Without a result") or "Without a result" in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_is_to_be_doubted_stands_below_the_table(row: RowMaker, control: RowMaker, form: ReportFormat) -> None:
    said = ["6 of 6 students give one class"]
    text = form.render([row(warnings=said), control(), row(method="cda", warnings=[*said, "luck"])], claims=True)
    assert text.count("warning, cda, sre2l: 6 of 6 students give one class") == 1
    assert text.count("warning, cda: luck") == 1


def test_a_doubt_of_sets_from_elsewhere_names_the_set(row: RowMaker) -> None:
    doubted = {"mine": ["odd"], "theirs": ["odd"], "good": []}
    rows = [
        {**row(run=name, method="imported", warnings=said), "imported": True, "set": name}
        for name, said in doubted.items()
    ]
    text = " ".join(TABLE.render(rows, claims=False).split())
    assert "warning, imported mine, imported theirs: odd" in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_a_teacher_makes_of_its_set_is_a_column_where_it_is_little(row: RowMaker, form: ReportFormat) -> None:
    low = {"top1": 71.25, "cross_entropy": 1.1}
    text = form.render([row(teacher_on_set=low), row(method="cda")], claims=True)
    assert "71.25" in text and "98.00" in text
    assert "the set" not in form.render([row(), row(method="cda")], claims=True)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize(("status", "said"), [("failed", True), ("refused", True), ("skipped", False)])
def test_what_failed_says_what_does_it_again(failure: RowMaker, form: ReportFormat, status: str, said: bool) -> None:
    text = " ".join(form.render([failure(status=status)], claims=True).split())
    assert ("--retry-failed does it again" in text) is said


def results(make: RowMaker, values: list[float], **changes: object) -> Row:
    return make(top1_values=values, top1_mean=sum(values) / len(values), top1_std=None, **changes)


def test_latex_has_the_best_in_bold_and_none_where_it_is_level(row: RowMaker) -> None:
    """40, 41, 42 against 45, 46, 47: p 0.0036; against 41, 42, 43: p 0.29; one training says nothing."""
    best, second = results(row, [45, 46, 47], run="a"), results(row, [40, 41, 42], method="cda", run="b")
    text = LATEX.render([best, second], claims=False)
    assert r"sre2l & \textbf{46.00 (3)}" in text and "& 41.00 (3)" in text and r"\textbf{bold}: above every" in text
    level = LATEX.render([results(row, [41, 42, 43], run="a"), second], claims=False)
    alone = LATEX.render([results(row, [60], eval_seeds=1, run="a"), second], claims=False)
    assert r"\textbf{4" not in level and r"\textbf{6" not in alone
    assert r"\textbf{bold}" not in LATEX.render([best], claims=False)
    values = {"a": [-1.2, -1.3, -1.1], "b": [-2.2, -2.3, -2.1]}
    told = {"std": 0.1, "unit": "nats", "better": "higher"}
    logs = {run: {"loss": {**told, "mean": each[0], "values": each}} for run, each in values.items()}
    unmeasured = [row(run=run, method=run, top1_mean=None, top1_values=[]) for run in logs]
    below = [each | {"primary": "loss", "metrics": logs[each["run"]]} for each in unmeasured]
    assert r"\textbf{-1.20" in LATEX.render(below, claims=False)


def flat(text: str) -> str:
    """LaTeX with each title in one line."""
    return re.sub(r"\\shortstack\[.\]\{(.*?[^\\])\}(?= [&\\])", lambda found: found[1].replace(r" \\ ", " "), text)


def test_times_on_other_numbers_of_threads_are_told_apart(row: RowMaker) -> None:
    one, many = row(threads=1), row(threads=16, method="cda", run="b")
    said = "times were taken on different numbers of threads: 1 of sre2l; 16 of cda"
    assert said in " ".join(TABLE.render([one, many], claims=False).split())
    assert "threads" not in TABLE.render([one, row(run="b", threads=1, method="cda")], claims=False)


def test_latex_says_one_unit_a_column(row: RowMaker, control: RowMaker) -> None:
    """397.1 s and 0.4 s: the root of their product is 12.6 s; 512 and 1 MiB: 22.6 MiB; zero has no unit."""
    rows = [
        row(set_bytes=2**29, label_s=0.0),
        control(set_bytes=2**20, label_s=120.0, synthesis_s=0.4, seconds_per_image=0.1),
    ]
    text = flat(LATEX.render(rows, claims=False))
    assert "synthesis (s)" in text and "397" in text and "0.400" in text
    assert "image bytes (MiB)" in text and "512" in text and "1.00" in text
    assert "labelling (min)" in text and "2.00" in text
    assert not re.search(r"\d (s|ms|min|h|KiB|MiB|GiB) [&\\]", text)


def test_latex_has_a_unit_a_cell_where_one_a_column_would_not_be_read(row: RowMaker, control: RowMaker) -> None:
    """3.2 h and 36 ms lie 320,000 times apart; 1 s and 1,000 s, 1 KiB and 1,000 KiB at the most that reads."""
    rows = [
        row(synthesis_s=11520.0, label_s=1000.0, set_bytes=1024000),
        control(synthesis_s=0.036, label_s=1.0, set_bytes=1024),
    ]
    text = flat(LATEX.render(rows, claims=False))
    assert "& synthesis &" in text and "& 3.20 h &" in text and "& 36.0 ms &" in text
    assert "labelling (s)" in text and "& 1000 " in text
    assert "image bytes (KiB)" in text


def test_a_time_below_nothing_has_a_unit_too(row: RowMaker, control: RowMaker) -> None:
    """As a clock that was set back leaves it."""
    text = flat(LATEX.render([row(prepare_s=-60.0), control(prepare_s=90.0)], claims=False))
    assert "prepare (min)" in text and "-1.00" in text and "1.50" in text


def test_latex_tables_can_be_referred_to_each_by_a_label_of_its_own(row: RowMaker) -> None:
    """Whatever stands beside it: papers refer to it before and after."""
    rows = [row(), row(ipc=50, run="b"), row(device_name="another", run="c"), row(precision="fp32", run="d")]

    def labels(rows: list[Row]) -> list[str]:
        return re.findall(r"\\label\{(.*)\}", LATEX.render(rows, claims=False))

    alone = [label for each in rows for label in labels([each])]
    assert len({*alone}) == 4 and set(alone) == set(labels(rows))
    assert all(
        re.fullmatch("tab:tiny-imagenet-ipc-[15]0-sre2l-tiny-1-on-convnet4-bn-[0-9a-f]{6}", each) for each in alone
    )
    joined = [rows[0], row(method="cda", run="e", backbone="resnet18", teacher_top1=1.0)]
    assert labels(joined) == labels(rows[:1])
    pivots = re.findall(r"\\label\{(.*)\}", LATEX.render_pivot(rows, across="ipc"))
    assert len({*pivots}) == 3 and all(each.startswith("tab:over-ipc-tiny-imagenet-") for each in pivots)
    scores = re.findall(r"\\label\{(.*)\}", LATEX.render_scores(rows, claims=False))
    assert len({*scores, *alone}) == 8


def test_latex_lets_a_long_ranking_go_over_pages(row: RowMaker) -> None:
    """A float of it would end with the page, and the rest of its rows with it."""
    rows = [row(method=f"m{number}", run=f"m{number}") for number in range(60)]
    text = LATEX.render(rows, claims=False)
    assert text.startswith(r"% needs \usepackage{booktabs,longtable}") and r"\begin{table}" not in text
    tables = re.findall(r"(?s)\\begin\{longtable\}.*?\\end\{longtable\}", text)
    assert all(table.count("\nm") == 61 for table in tables), "the head, and every row"
    assert text.count(r"\caption") == text.count(r"\label") == 1 and len(tables) == text.count("addtocounter") + 1
    assert text.rindex("quick budget") > text.rindex(r"\end{longtable}")
    assert "longtable" not in LATEX.render(rows[:2], claims=False)


def test_a_time_in_company_has_the_unit_of_its_column_and_is_sorted_with_the_others(row: RowMaker) -> None:
    rows = [row(synthesis_s=600.0), row(method="b", synthesis_s=90.0, run="b") | {"workers": 4}]
    text = flat(LATEX.render(rows, claims=False))
    assert "synthesis (min)" in text and "& 10.0 &" in text and r"& 1.50\dag{} &" in text
    (view,) = views(rows, claims=False)
    assert view.numbers["synthesis"] == [90.0, 600.0]


def test_the_best_is_marked_in_every_form_of_text(row: RowMaker) -> None:
    best, second = results(row, [45, 46, 47], run="a"), results(row, [40, 41, 42], method="cda", run="b")
    for form, mark in ((TABLE, "46.00 (3)*"), (MARKDOWN, r"46.00 (3)\*")):
        text = form.render([best, second], claims=False)
        assert mark in text and "41.00 (3)*" not in text and "above every other row" in text
        level = form.render([results(row, [41, 42, 43], run="a"), second], claims=False)
        assert ")*" not in level and r")\*" not in level and "none is the best" in level
    lines = TABLE.render([best, second], claims=False).splitlines()
    (first,), (other,) = ([line for line in lines if number in line] for number in ("46.00", "41.00"))
    assert first.index("46.00") == other.index("41.00")


def test_columns_of_words_stand_to_the_left(row: RowMaker, control: RowMaker) -> None:
    """Of all columns that a ranking may have: cells of numbers to the right, all others to the left."""
    apart = {"backbone": "resnet18", "seed": 1, "preprocessing": "zca", "label_kind": "stored", "teacher_top1": 50.0}
    rows = [row(synthesis_precision="fp32"), row(run="b", changed={"lr": [1, 2]}, **apart), control()]
    (view,) = views([{**each, "imported": True, "set": each["run"]} for each in rows], claims=True)
    columns = beside(view.identity, *view.groups)
    numeric = {title for title, cells in columns.items() if all(cell[0] in "–0123456789±" for cell in cells)}
    assert {"made\nin", "changed", "labels", "pre-\nprocessing", "set"} <= set(columns) - numeric
    sides = dict(zip(columns, alignment(columns), strict=True))
    assert sides == {title: "right" if title in numeric else "left" for title in columns}


def test_what_is_said_below_a_table_names_the_row_that_it_is_of(row: RowMaker, control: RowMaker) -> None:
    """By its seed where rows of one method differ in that alone; by its method where all of its rows are meant."""
    spans = {"median": 1.0, "p20": 0.5}, {"median": 1.0, "p20": 0.25}
    rows = [
        row(seed=seed, warnings=[f"{seed + 1} of 2 students", "both"], ms_per_image_iteration={**span, "p80": 2.0})
        for seed, span in enumerate(spans)
    ]
    rows += [control(backbone="resnet18"), row(method="dm", run="dm", warnings=["2 of 2 students"])]
    (view,), steps = views(rows, claims=True), "ms/image-iteration"
    for said in (
        "warning, sre2l seed 0: 1 of 2 students",
        "warning, dm, sre2l seed 1: 2 of 2 students",
        "warning, sre2l: both",
        f"{steps} from the 20th to the 80th percentile: 0.500 to 2.00 of sre2l seed 0; 0.250 to 2.00 of sre2l seed 1",
        f"{steps} of random (control): no image is updated step by step; see the time per image",
    ):
        assert said in view.notes


def test_runs_without_a_result_are_told_apart_by_their_seeds(failure: RowMaker) -> None:
    one, two = complaints([failure(seed=seed, run=f"cda{seed}") for seed in (0, 1)])
    assert "convnet4-bn, seed 0, paper on" in one and "convnet4-bn, seed 1, paper on" in two
    assert "seed" not in complaints([failure()])[0]
