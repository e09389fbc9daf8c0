"""The page that ``autocron simulate … --html`` writes, in a browser."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autocron import testing
from autocron.app import App
from tests.browser.colours import MARK, TEXT, contrast, luminance, parse

# Each visible piece of text: what it says, its colour, and all that it may stand on.
TEXTS = """
const solid = element => {
    for (; element; element = element.parentElement) {
        const ground = getComputedStyle(element).backgroundColor;
        if (ground !== 'rgba(0, 0, 0, 0)') return ground;
    }
    return 'rgb(255, 255, 255)';
};
const grounds = [...document.querySelectorAll('svg .ground, svg .band')].map(
    rect => getComputedStyle(rect).fill);
const found = [];
for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(
        node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || ['STYLE', 'style', 'title'].includes(element.tagName)) continue;
    const style = getComputedStyle(element), isDrawn = element instanceof SVGElement;
    const box = element.getBoundingClientRect();
    found.push({
        text: element.textContent,
        colour: isDrawn ? style.fill : style.color,
        grounds: isDrawn ? [...new Set(grounds)] : [solid(element)],
        isDrawn,
        pixels: parseFloat(style.fontSize) * (isDrawn ? scale() : 1),
        box: [box.left, box.top, box.right, box.bottom],
    });
}
function scale() {
    const svg = document.querySelector('svg');
    return svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
}
return found;
"""

# Each mark in the picture: its kind, its colours, its title, and where it is.
MARKS = """
const grounds = [...document.querySelectorAll('svg .ground, svg .band')].map(
    rect => getComputedStyle(rect).fill);
return [...document.querySelectorAll(
    'svg .succeeded, svg .running, svg .bad, svg .skipped, svg .missed, svg .off, svg path.change'
)].map(mark => {
    const style = getComputedStyle(mark), box = mark.getBoundingClientRect();
    const title = mark.querySelector('title');
    return {
        kind: mark.getAttribute('class'),
        colours: [style.fill, style.stroke].filter(colour => colour !== 'none'),
        grounds: [...new Set(grounds)],
        title: title && title.textContent,
        box: [box.left, box.top, box.right, box.bottom],
    };
});
"""

# What is on top where a mark is, and what its title says: what a pointer on it would show.
POINTED_AT = """
const [left, top, right, bottom] = arguments[0];
const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
const title = at && at.querySelector('title');
return title && title.textContent;
"""


@pytest.fixture(scope="module")
def app():
    app = App()

    @app.cron("30 2 * * *")
    def nightly(): ...

    @app.cron("*/20 * * * *")
    def poll_orders(): ...

    @app.cron("0 0 1 1 *")
    def yearly_statement_for_the_tax_office(): ...

    @app.cron("15 */6 * * *")
    def überprüfen(): ...

    @app.delay(retries=3)
    def send_mail(): ...

    app.send_mail = send_mail
    return app


@pytest.fixture(scope="module")
def timeline(app):
    """Three days with all that a picture can show."""
    return testing.simulate(
        app,
        start="2026-10-24",
        days=3,
        tz="Europe/Berlin",
        workers=2,
        seed=3,
        durations={"nightly": timedelta(hours=2), "überprüfen": timedelta(hours=9)},
        failures={"poll_orders": 0.1},
        outages=[("2026-10-25 01:00", "2026-10-25 05:00")],
        crashes=[("2026-10-24 04:20", "worker")],
        enqueue=[("2026-10-24 09:00", app.send_mail, ())],
    )


@pytest.fixture(scope="module")
def year(app):
    """A year, whose runs are too many to be shown one by one."""
    return testing.simulate(app, start="2026-01-01", days=365, tz="Europe/Berlin")


@pytest.fixture
def page(browser, timeline):
    browser.open(timeline.to_html())
    return browser


def middle(box):
    return (box[1] + box[3]) / 2


def test_it_opens_without_errors_and_asks_for_nothing_else(browser, timeline, year):
    for html in (timeline.to_html(), year.to_html()):
        address = browser.open(html)
        browser.emulate("dark", 390)
        asked = [url for url in browser.requests() if not url.startswith("data:")]
        assert (asked, browser.errors()) == ([address], [])


@pytest.mark.parametrize(
    "foreign",
    [
        '<img src="http://127.0.0.1:9/x.png">',
        "<script>throw 1</script>",
        "<style>@import 'x'</style>",
    ],
)
def test_it_would_not_let_anything_else_in(browser, timeline, foreign):
    """And a page that were to try would not pass the test above."""
    browser.open(timeline.to_html().replace("<main>", "<main>" + foreign))
    assert browser.errors() != []


def test_it_follows_the_colour_scheme(page):
    lights = []
    for scheme in ("light", "dark"):
        page.emulate(scheme)
        grounds = {ground for text in page.run(TEXTS) for ground in text["grounds"]}
        lights.append([luminance(parse(ground)[:3]) for ground in grounds])
    assert min(lights[0]) > 0.8
    assert max(lights[1]) < 0.03


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible(page, scheme):
    page.emulate(scheme)
    texts = page.run(TEXTS)
    assert len(texts) > 60
    faint = [
        (text["text"], round(ratio, 1))
        for text in texts
        for ratio in [contrast(text["colour"], ground) for ground in text["grounds"]]
        if ratio < TEXT
    ]
    assert faint == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_marks_are_seen(page, scheme):
    page.emulate(scheme)
    marks = page.run(MARKS)
    kinds = {mark["kind"] for mark in marks}
    assert kinds == {"succeeded", "running", "bad", "skipped", "missed", "off", "change"}
    for mark in marks:
        for ground in mark["grounds"]:
            # A mark is seen by its area or by its outline.
            assert max(contrast(colour, ground) for colour in mark["colours"]) >= MARK, mark


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_it_fits_on_the_screen(page, width):
    page.emulate(width=width)
    wide, screen = page.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= screen
    small = [text["text"] for text in page.run(TEXTS) if text["pixels"] < 10]
    assert small == []


@pytest.mark.parametrize("which", ["timeline", "year"])
def test_no_text_in_the_picture_is_hidden_by_another(browser, request, which):
    browser.open(request.getfixturevalue(which).to_html())
    left, _, right, bottom = browser.run(
        "const box = document.querySelector('svg').getBoundingClientRect();"
        "return [box.left, box.top, box.right, box.bottom]"
    )
    drawn = [text for text in browser.run(TEXTS) if text["isDrawn"]]
    for text in drawn:
        assert left <= text["box"][0], text
        assert text["box"][2] <= right, text
        assert text["box"][3] <= bottom, text
    for place, one in enumerate(drawn):
        for other in drawn[place + 1 :]:
            apart = (
                one["box"][2] <= other["box"][0]
                or other["box"][2] <= one["box"][0]
                or one["box"][3] <= other["box"][1] + 4  # lines of a font touch
                or other["box"][3] <= one["box"][1] + 4
            )
            assert apart, (one, other)


def test_each_run_is_in_its_rows_and_says_what_it_was(page, timeline):
    labels = {text["text"]: middle(text["box"]) for text in page.run(TEXTS) if text["isDrawn"]}
    marks = [mark for mark in page.run(MARKS) if mark["title"] and ", attempt " in mark["title"]]
    assert len(marks) == 2 * len(timeline.entries)
    for mark, other in zip(marks[::2], marks[1::2]):
        name, _, rest = mark["title"].partition(", ")
        assert other["title"] == mark["title"]
        label = name if name in labels else name[:24] + "…"
        assert abs(middle(mark["box"]) - labels[label]) < 4
        worker = rest.split(", ")[1].partition(".")[0]
        assert abs(middle(other["box"]) - labels[worker]) < 4
    shown = [mark["title"].partition(", ")[0] for mark in marks[::2]]
    assert shown.count("nightly") == len(timeline.runs("nightly")) > 2
    lefts = [mark["box"][0] for mark in marks[::2]]
    assert lefts == sorted(lefts)


def test_skips_misses_and_outages_are_marked_and_named(page, timeline):
    titles = [mark["title"] for mark in page.run(MARKS) if mark["title"]]
    assert titles.count("machine off") == len(timeline.outages) == 1
    assert sum(title.startswith("skipped: ") for title in titles) > 5
    assert "missed: Sun 2026-10-25 01:00 +02:00" in titles
    assert any(text["text"] == "clock back 1 h" for text in page.run(TEXTS))


def test_a_pointer_on_a_mark_is_told_what_it_is(page):
    marks = [mark for mark in page.run(MARKS) if mark["title"]]
    for mark in marks:
        told = page.run(POINTED_AT, mark["box"])
        if told != mark["title"]:
            # Another one is above it, as neighbours share pixels and an outage has all its misses.
            assert told, mark
            assert (
                mark["kind"] == "off" or "skipped" in told or mark["box"][2] - mark["box"][0] < 20
            )


def test_what_is_odd_is_told_in_sentences(page, timeline):
    found = page.run("return [...document.querySelectorAll('ul li')].map(one => one.textContent)")
    assert found == timeline.odd()
    assert len(found) > 5


def test_nothing_odd_is_told_too(browser):
    app = App()

    @app.cron("0 12 * * *")
    def noon(): ...

    browser.open(testing.simulate(app, start="2026-01-01", days=1, tz="UTC").to_html())
    assert "What is odd\nNothing." in browser.run("return document.body.innerText").replace(
        "\n\n", "\n"
    )


def test_the_table_has_a_row_for_each_task(page, timeline):
    rows = page.run(
        "return [...document.querySelectorAll('tbody tr')].map("
        "row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [row[0] for row in rows] == list(timeline.names)
    for name, _, runs, skipped, missed, _, _ in rows:
        counts = [len(of(name)) for of in (timeline.runs, timeline.skipped, timeline.missed)]
        assert [int(runs), int(skipped), int(missed)] == counts


def test_a_screen_reader_finds_its_way(page, timeline):
    told = page.accessible()
    headings = [name for role, name in told if role == "heading"]
    assert headings == ["autocron: a simulated timeline", "What is odd", "Tasks"]
    (picture,) = [name for role, name in told if role in ("img", "image")]
    assert f"{len(timeline.entries)} runs, {len(timeline.skips)} skipped" in picture
    assert len([1 for role, _ in told if role == "listitem"]) == len(timeline.odd())
    columns = [name for role, name in told if role == "columnheader"]
    assert columns == ["task", "runs at", "runs", "skipped", "missed", "went wrong", "latest by"]
    assert [name for role, name in told if role == "rowheader"] == list(timeline.names)
    assert page.run("return [document.documentElement.lang, document.title]") == [
        "en",
        "autocron: a simulated timeline",
    ]


def test_the_keyboard_reaches_what_scrolls(page):
    """On a narrow screen the picture and the table scroll inside of the page."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    page.emulate(width=390)
    for name in ("The picture", "The tasks"):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        focused = page.run(
            "const one = document.activeElement;"
            "return [one.getAttribute('role'), one.getAttribute('aria-label'),"
            " getComputedStyle(one).outlineStyle]"
        )
        assert focused == ["region", name, "solid"]
        ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
        WebDriverWait(page.driver, 10).until(
            lambda _: page.run("return document.activeElement.scrollLeft") > 0
        )
