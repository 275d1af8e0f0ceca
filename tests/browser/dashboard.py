"""Looks at a running agent's dashboard in a real browser: `dashboard.py URL OUTDIR [--chromium PATH] [--holds TEXT]`.

The agent has traffic, some of it slow, while this runs. Each check is a line; the last says how many passed, and the
exit code is 1 if one failed. Pictures go to OUTDIR. What the agent's traffic cannot bring about on demand (losses,
hostile endpoints, broken connections, 1,000 endpoints) is played by `scripted.py` to the agent's own page.
"""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import statistics
import time
import traceback

import scripted
from playwright.sync_api import Error, sync_playwright

SIZES = [(1280, 900), (360, 740)]
SCHEMES = ["light", "dark"]
# For what comes about. It is long, since a machine that is busy with other things is no fault of the page.
PATIENCE_MS = 60_000

# Before the page's own scripts: layout shifts, and how old each second is when the page has drawn it.
WATCH = """
window.watched = { shifts: 0, ages: [], gaps: [] };
new PerformanceObserver((entries) => {
  for (const entry of entries.getEntries()) if (!entry.hadRecentInput) watched.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });
document.addEventListener("DOMContentLoaded", () => {
  let before = 0;
  new MutationObserver(() => {
    const now = Date.now() / 1000;
    watched.ages.push(now - Number(document.getElementById("last").dataset.t));
    if (before > 0) watched.gaps.push(now - before);
    before = now;
  }).observe(document.getElementById("last"), { attributeFilter: ["data-t"] });
});
"""

# How many of a canvas's pixels have one of some colours of the style sheet, nearly: edges of lines are blended.
COLOURED = """(canvas, names) => {
  const probe = document.body.appendChild(document.createElement("i"));
  const colours = names.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  });
  probe.remove();
  // Reading the page's own canvas again and again would make it slow.
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const away = (at, [red, green, blue]) =>
    Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 200 && colours.some((colour) => away(at, colour) < 60)) count += 1;
  }
  return count;
}"""

# Those of the map but the lightest, which is nearly its ground. Which of them there are depends on how even the
# traffic is.
HEAT = ["--heat-1", "--heat-2", "--heat-3", "--heat-4"]

# What is waited for is a function: the page's policy forbids to evaluate a text again.
CHANGED = """([selector, before]) =>
  [...document.querySelectorAll(selector)].some((it, at) => it.textContent !== before[at])"""
GROUND = "getComputedStyle(document.documentElement).backgroundColor"
BANNER = "getComputedStyle(document.getElementById('banner')).backgroundColor.match(/\\d+/g).map(Number)"
ROWS = "(count) => document.querySelectorAll('#slow tbody tr').length >= count"


class Checks:
    def __init__(self):
        self.passed = self.failed = 0
        self.where = ""

    def that(self, holds, says, found=""):
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        print(f"{'ok    ' if holds else 'FAILED'} {self.where}: {says}{'' if holds else f': {found!r}'}", flush=True)

    @contextlib.contextmanager
    def at(self, where):
        """What waits in vain, or finds nothing to press, fails and ends only this part."""
        self.where = where
        try:
            yield
        except Error as error:
            lines = [it.lineno for it in traceback.extract_tb(error.__traceback__) if it.filename == __file__]
            self.that(False, f"line {lines[-1]}: everything was there in time", str(error))


@contextlib.contextmanager
def opened(browser, checks, url, size=SIZES[0], scheme="light", refused=0):
    """The page at `url`, from outside; at its end it must have been quiet. `refused` answers were errors on purpose."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_init_script(WATCH)
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    refusals = [error for error in errors if "503" in error]
    errors = [error for error in errors if error not in refusals]
    checks.that(not errors and len(refusals) == refused, "no errors in the console", errors + refusals)
    outside = [it for it in asked if not it.startswith((url, "data:"))]
    checks.that(not outside and asked, "nothing was asked of others", outside)
    context.close()


def texts(page, selector):
    return page.locator(selector).all_text_contents()


def state(page, wanted):
    page.wait_for_selector(f"#connection[data-state={wanted}]")


def micros(shown):
    number, unit = re.fullmatch(r"([\d.]+) (µs|ms|s)", shown).groups()
    return float(number) * {"µs": 1, "ms": 1e3, "s": 1e6}[unit]


def number(shown):
    return int(shown.replace(",", ""))


def filled(page):
    state(page, "live")
    page.wait_for_selector("#operations tbody td.number")
    page.wait_for_selector("#slow tbody .open")


def cpu_seconds(session):
    """How long the page's own thread has had a CPU so far. That is the same on a busy machine as on an idle one."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(it["value"] for it in metrics if it["name"] == "ThreadTime")


def keeps_up(page, checks, seconds):
    """The page falls behind when it needs more than a second for what a second brings; then it is never up to date
    again. A single second that comes late is the machine's affair."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.evaluate("() => { watched.ages.length = watched.gaps.length = 0 }")
    before = cpu_seconds(session)
    page.wait_for_function("(count) => watched.gaps.length >= count", arg=seconds, polling=200)
    ages, gaps = page.evaluate("[watched.ages, watched.gaps]")
    cost = (cpu_seconds(session) - before) / len(ages)
    checks.that(cost < 0.5, f"a second takes the page {1000 * cost:.0f} ms of CPU", cost)
    age, gap = statistics.median(ages), statistics.median(gaps)
    checks.that(age <= 2, f"it is drawn within 2 s ({age:.2f} s, at most {max(ages):.2f} s)", ages)
    checks.that(gap <= 2, f"every second is drawn ({gap:.2f} s apart, at most {max(gaps):.2f} s)", gaps)
    is_up_to_date(page)


def is_up_to_date(page):
    page.wait_for_function("() => Date.now() / 1000 - document.getElementById('last').dataset.t <= 2", polling=200)


def is_drawn(page, checks, canvas, *colours):
    drawn = f"([selector, names]) => ({COLOURED})(document.querySelector(selector), names) > 5"
    page.wait_for_function(drawn, arg=[canvas, colours], polling=500)
    count = page.locator(canvas).evaluate(COLOURED, colours)
    checks.that(count > 5, f"{canvas} shows {' or '.join(colours)} ({count} pixels)", count)


def looks(browser, checks, url, out, size, scheme, holds):
    """What is there, at one size and in one scheme."""
    with checks.at(f"{size[0]} px, {scheme}"), opened(browser, checks, url, size, scheme) as page:
        filled(page)
        checks.that(int(page.inner_text("#tiles dd").replace(",", "").replace("–", "0")) >= 0, "tiles show numbers")
        is_drawn(page, checks, "#throughput canvas", "--line-1")
        is_drawn(page, checks, "#latency canvas", "--line-1")
        is_drawn(page, checks, "#heat", *HEAT)
        for text in holds:
            page.wait_for_function("(text) => document.getElementById('slow').textContent.includes(text)", arg=text)
        checks.that(page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out sideways")
        dark = page.evaluate(f"{GROUND}.match(/\\d+/g)[0] < 100")
        checks.that(dark == (scheme == "dark"), "the system's scheme is followed")
        keeps_up(page, checks, 3)
        shifts = page.evaluate("watched.shifts")
        checks.that(shifts < 0.01, f"nothing moves by itself ({shifts:.4f})", shifts)
        checks.that(page.evaluate("window.broken") is None, "no text became markup")
        page.screenshot(path=out / f"live-{size[0]}-{scheme}.png", full_page=True)


def works_by_keyboard(browser, checks, url, size):
    with checks.at(f"keyboard, {size[0]} px"), opened(browser, checks, url, size) as page:
        filled(page)
        press = page.keyboard.press
        press("Tab")
        checks.that(page.evaluate("document.activeElement.className") == "skip", "the first stop skips the head")
        page.focus("#pause")
        press("Enter")
        state(page, "paused")
        before = page.get_attribute("#last", "data-t")
        sorts(page, checks, press)
        filters(page, checks, press)
        opens_details(page, checks, press)
        page.focus("#heat")
        press("ArrowUp")
        press("ArrowUp")
        read = page.inner_text("#heat-readout")
        checks.that("0.1ms~0.2ms" in read, "arrows read the heat map", read)
        page.focus("#latency")
        newest = texts(page, "#latency-legend b")
        press("Home")
        page.wait_for_function(CHANGED, arg=["#latency-legend b", newest])
        checks.that(page.get_attribute("#last", "data-t") == before, "paused, nothing moves on")
        page.focus("#pause")
        press("Space")
        state(page, "live")
        is_up_to_date(page)
        checks.that(True, "resumed, it is up to date")


def sorts(page, checks, press):
    page.focus("#slow th:nth-child(2) button")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    for key, order in (("Enter", "descending"), ("Space", "ascending")):
        press(key)
        page.wait_for_selector(f"#slow th:nth-child(2)[aria-sort={order}]")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        shown = [micros(it) for it in texts(page, "#slow tbody td:nth-child(2)")]
        checks.that(shown == sorted(shown, reverse=order == "descending"), f"slow requests by latency, {order}", shown)
    checks.that(style == "solid", "focus is seen", style)
    page.focus("#operations th:nth-child(3) button")
    press("Enter")
    page.wait_for_selector("#operations th:nth-child(3)[aria-sort=descending]")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    shown = [number(it) for it in texts(page, "#operations tbody td:nth-child(3)")]
    checks.that(shown == sorted(shown, reverse=True) and shown, "operations by requests", shown)


def filters(page, checks, press):
    page.focus("#pause")
    press("/")
    checks.that(page.evaluate("document.activeElement.id") == "filter", "/ goes to the filter")
    operation = texts(page, "#slow tbody td:nth-child(4)")[0]
    page.keyboard.type(f"{operation} /nowhere")
    page.wait_for_selector("#slow td.empty")
    checks.that("No slow request matches" in page.inner_text("#slow"), "all words must match, and / is a letter there")
    press("Control+a")
    page.keyboard.type(operation.upper())
    page.wait_for_selector("#slow tbody .open")
    rows = texts(page, "#slow tbody tr")
    checks.that(all(operation.lower() in row.lower() for row in rows), "the filter leaves what matches", rows)
    press("Control+a")
    press("Delete")


def opens_details(page, checks, press):
    page.focus("#slow tbody .open")
    press("Enter")
    page.wait_for_selector("#details[open]")
    checks.that("latency" in page.inner_text("#details-list"), "details open")
    press("Escape")
    page.wait_for_selector("#details:not([open])", state="attached")
    checks.that(page.evaluate("document.activeElement.className") == "open", "closed, the focus is where it was")


def operations(page):
    """The numbers of each operation, by endpoint and name."""
    heads = [it.lower() for it in texts(page, "#operations th")]
    rows = [row.locator("td").all_text_contents() for row in page.locator("#operations tbody tr").all()]
    named = [dict(zip(heads, row)) for row in rows]
    return {(it["endpoint"], it["operation"]): it for it in named}


def has_windows(browser, checks, url):
    """Operations over the last minute, five minutes and since the start."""
    with checks.at("windows"), opened(browser, checks, url) as page:
        filled(page)
        page.focus("#pause")
        page.keyboard.press("Enter")
        state(page, "paused")
        minute = operations(page)
        columns = ["requests", "errors", "p50", "p99", "p99.9", "max"]
        checks.that(all(set(columns) <= set(it) for it in minute.values()), "all columns are there", minute)
        page.focus("#window")
        before = minute
        for window in ("last 5 minutes", "since start"):
            page.keyboard.press("ArrowDown")
            page.wait_for_selector("#operations tbody td.number")
            chosen = page.locator("#window option:checked").inner_text()
            checks.that(chosen == window, "the keyboard chooses a window", chosen)
            now = operations(page)
            is_more = all(number(now[key]["requests"]) >= number(it["requests"])
                          and micros(now[key]["max"]) >= micros(it["max"]) for key, it in before.items())
            checks.that(is_more, f"there was as much {window}, or more", (before, now))
            in_order = [micros(it) for row in now.values() for it in (row["p50"], row["p99"], row["p99.9"], row["max"])]
            is_sorted = all(in_order[at:at + 4] == sorted(in_order[at:at + 4]) for at in range(0, len(in_order), 4))
            checks.that(is_sorted, f"percentiles {window} grow up to the longest", now)
            before = now
        page.reload()
        filled(page)
        checks.that(page.locator("#window").input_value() == "all", "the window is kept")
        requests = number(next(iter(operations(page).values()))["requests"])
        more = """(requests) => [...document.querySelectorAll("#operations tbody td:nth-child(3)")]
          .some((it) => Number(it.textContent.replaceAll(",", "")) > requests)"""
        page.wait_for_function(more, arg=requests)
        checks.that(True, "numbers go on")


def waits_for_windows(browser, checks, url):
    """An agent that is slow to answer is asked once, and what it says late is not shown under another window."""
    with checks.at("slow answers"), scripted.Scripted(url, scripted.steady) as server, \
            opened(browser, checks, server.url) as page:
        shown = "() => document.querySelector('#operations tbody td').textContent"
        page.wait_for_function(f"() => ({shown})() === 'MINUTE'")
        # Counted in the page: the browser itself holds back what is asked a second time.
        page.evaluate("""() => {
          const own = window.fetch;
          watched.asked = [];
          window.fetch = (what, how) => { watched.asked.push(what); return own(what, how); };
        }""")
        page.select_option("#window", "five-minutes")
        page.wait_for_function(f"() => ({shown})() === 'Asking.'")
        page.evaluate("() => { watched.gaps.length = 0 }")
        page.wait_for_function("() => watched.gaps.length >= 3")
        asked = page.evaluate("watched.asked")
        checks.that(asked == ["operations?window=five-minutes"], "three seconds later, it was asked once", asked)
        page.select_option("#window", "minute")
        page.wait_for_function(f"() => ({shown})() === 'MINUTE'")
        page.select_option("#window", "all")
        page.wait_for_function(f"() => ({shown})() === 'Asking.'")
        page.evaluate("""() => {
          const body = document.querySelector("#operations tbody");
          watched.operations = [];
          new MutationObserver(() => watched.operations.push(body.querySelector("td").textContent))
            .observe(body, { childList: true, characterData: true, subtree: true });
        }""")
        server.may_answer.set()
        page.wait_for_function(f"() => ({shown})() === 'window=all'")
        seen = set(page.evaluate("watched.operations"))
        checks.that(seen == {"window=all"}, "an answer for another window is not shown", seen)


def chooses(browser, checks, url, out):
    with checks.at("choosing"), opened(browser, checks, url) as page:
        filled(page)
        endpoint = page.locator("#operations tbody tr td:nth-child(9)").first.inner_text()
        page.select_option("#endpoint", endpoint)
        page.wait_for_function("() => document.getElementById('latency-legend').textContent.includes('p99.9')")
        ends = texts(page, "#operations tbody td:nth-child(9)") + texts(page, "#slow tbody td:nth-child(5)")
        checks.that(set(ends) == {endpoint}, "one endpoint's rows are left", ends)
        page.uncheck("#log")
        keeps_up(page, checks, 2)
        page.screenshot(path=out / "endpoint-1280-light.png", full_page=True)
        page.select_option("#endpoint", "")
        light = page.evaluate(GROUND)
        page.click("#theme")
        page.click("#theme")
        is_dark = lambda: page.inner_text("#theme") == "Theme: dark" and page.evaluate(GROUND) != light
        checks.that(is_dark(), "the theme is switched")
        page.reload()
        checks.that(is_dark(), "and kept")


def survives_hostility(browser, checks, url, out):
    transactions = scripted.hostile_transactions()
    for size in SIZES:
        with checks.at(f"hostile, {size[0]} px"), scripted.Scripted(url, scripted.hostile, transactions) as server, \
                opened(browser, checks, server.url, size, refused=1) as page:
            page.wait_for_selector("#banner[data-state=calm]")
            checks.that("Nothing was lost" in page.inner_text("#banner"), "refused once, it tries again")
            server.may_break_off.set()
            page.wait_for_selector("#banner[data-state=loss]")
            checks.that(server.connections >= 3, "broken off, it connects again")
            said = page.inner_text("#banner")
            checks.that("7 packets, 1,234 bytes" in said, "the banner counts", said)
            red, green, _ = page.evaluate(BANNER)
            is_seen = page.locator("#banner-text").is_visible()
            checks.that(is_seen and red > 3 * green, "the banner is red", (is_seen, red, green))
            checks.that(page.get_attribute("#banner-text", "role") == "status", "the banner is announced")
            page.wait_for_function(ROWS, arg=len(transactions))
            for column in (3, 4, 5, 6, 7):
                shown = texts(page, f"#slow tbody td:nth-child({column})")
                is_each_once = sorted(shown) == sorted(scripted.PROBES)
                checks.that(is_each_once, f"column {column} has each text once, as it is", shown)
            checks.that(set(texts(page, "#ledger-lines li")) == set(scripted.PROBES), "so have the ledger's lines")
            page.click("#slow tbody .open >> nth=0")
            checks.that(set(scripted.PROBES) & set(texts(page, "#details dd")), "so have the details")
            page.keyboard.press("Escape")
            made = page.locator("main img, main svg, main script, main a, dialog img, dialog script").count()
            checks.that(page.evaluate("window.broken") is None and made == 0, "no text became markup", made)
            shifts = page.evaluate("watched.shifts")
            checks.that(shifts < 0.01, "the banner moves nothing", shifts)
            page.screenshot(path=out / f"loss-{size[0]}.png")


def keeps_up_when_busy(browser, checks, url):
    with checks.at("10,000 requests a second"), scripted.Scripted(url, scripted.busy) as server, \
            opened(browser, checks, server.url) as page:
        filled(page)
        keeps_up(page, checks, 10)
        all_kept = "() => document.getElementById('slow-count').textContent === 'first 200 of 1,000 of 1,000'"
        page.wait_for_function(all_kept)
        checks.that(page.locator("#slow tbody tr").count() == 200, "rows are bounded")
        checks.that(page.locator("#endpoint option").count() == 1001, "all endpoints can be chosen")


def shows_single_seconds(browser, checks, url):
    with checks.at("hardly any requests"), scripted.Scripted(url, scripted.sparse) as server, \
            opened(browser, checks, server.url) as page:
        page.wait_for_selector("#banner[data-state=note]")
        page.wait_for_selector("#last[data-t]")
        checks.that("5 bytes not read" in page.inner_text("#banner"), "what was not read is noted")
        for colour in ("--line-1", "--line-2", "--line-3", "--line-4"):
            is_drawn(page, checks, "#latency canvas", colour)
        checks.that("No slow requests yet" in page.inner_text("#slow"), "nothing slow is said")
        checks.that("No requests in the last minute" in page.inner_text("#operations"), "no operations are said")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out", type=pathlib.Path)
    found = shutil.which("chromium") or "/usr/bin/chromium"
    parser.add_argument("--chromium", default=found, help="the browser's program")
    parser.add_argument("--holds", action="append", default=[], metavar="TEXT", help="must be among the slow requests")
    given = parser.parse_args()
    url = given.url.rstrip("/") + "/"
    given.out.mkdir(parents=True, exist_ok=True)
    checks = Checks()
    started = time.monotonic()
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root.
        # Containers often have a small /dev/shm, and Chromium dies without a word when that is full.
        browser = playwright.chromium.launch(executable_path=given.chromium, chromium_sandbox=os.geteuid() != 0,
                                             args=["--disable-dev-shm-usage"], timeout=PATIENCE_MS)
        for size in SIZES:
            for scheme in SCHEMES:
                looks(browser, checks, url, given.out, size, scheme, given.holds)
            works_by_keyboard(browser, checks, url, size)
        chooses(browser, checks, url, given.out)
        has_windows(browser, checks, url)
        waits_for_windows(browser, checks, url)
        survives_hostility(browser, checks, url, given.out)
        keeps_up_when_busy(browser, checks, url)
        shows_single_seconds(browser, checks, url)
        browser.close()
    print(f"took {time.monotonic() - started:.0f} s")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
