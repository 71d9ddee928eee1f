"""`balancecore live` as coach and runner see it: the command, its page in Chromium, a simulated treadmill.

One session of the command serves all tests. Every page that a test opens must stay without errors and ask nobody but
its own server for anything.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

import balancecore as bc
from balancecore.plot import COLOURS

from .feeder import READY, feeding, play, step

playwright = pytest.importorskip("playwright.sync_api")

#: A page that has not come by then does not come, ms; the machine may be busy.
PATIENCE_MS = 60_000
#: By then the bar stands where the simulation wants it, s.
WITHIN_S = 20.0
LEFT_S, RIGHT_S = 0.26, 0.23
SI = 100.0 * (LEFT_S - RIGHT_S) / (0.5 * (LEFT_S + RIGHT_S))
#: Contact times end where a threshold is crossed, which takes the same few ms from both: less than 0.5 % of the index;
#: one decimal is shown, and noise moves the mean of 20 strides a little.
SI_TOLERANCE = 0.8
#: Both ends of a contact are cut where the threshold is crossed: some 12 ms of 250.
CONTACT_TOLERANCE = 0.06
DEVICE = f"simulated:treadmill?noise_n=3&left_contact_s={LEFT_S}&right_contact_s={RIGHT_S}"
#: The symmetry index is there.
KNOWN = "document.getElementById('si').textContent !== '\u2013'"
PROGRAM = "import sys; from balancecore.cli import main; sys.exit(main())"
SCREENS = {"large": (1920, 1080), "laptop": (1280, 720), "phone": (390, 844)}
#: Parts of the traces' pixels that have a limb's colour, at least, where a trace is drawn.
LEAST_PIXELS = 300

#: Pixels of each colour in the figure, which Bokeh draws on canvases inside shadow roots; and a sum that moves with it.
PIXELS = """colours => {
  const canvases = [];
  const look = (root) => {
    for (const el of root.querySelectorAll("*")) {
      if (el.tagName === "CANVAS") canvases.push(el);
      if (el.shadowRoot) look(el.shadowRoot);
    }
  };
  look(document.querySelector(".plot"));
  const found = colours.map(() => 0);
  let sum = 0;
  for (const canvas of canvases) {
    if (!canvas.width || !canvas.height) continue;
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    for (let k = 0; k < data.length; k += 4) {
      if (data[k + 3] < 200) continue;
      colours.forEach((c, n) => {
        if (c.every((v, i) => Math.abs(v - data[k + i]) < 12)) { found[n] += 1; sum = (sum + k * (n + 1)) % 1e9; }
      });
    }
  }
  return {found, sum};
}"""

#: What is wrong with the layout, in words: text and buttons outside the screen or their card, cut off, or over others.
LAYOUT = """phone => {
  const wrong = [];
  const width = innerWidth, height = innerHeight;
  const name = (el) => `${el.tagName.toLowerCase()}#${el.id}.${el.className} "${el.textContent.trim().slice(0, 20)}"`;
  if (document.documentElement.scrollWidth > width) wrong.push(`page is ${document.documentElement.scrollWidth} wide`);
  if (!phone && document.documentElement.scrollHeight > height) wrong.push("page has to be scrolled");
  const cards = [...document.querySelectorAll(".top, .card")];
  const boxes = cards.map((el) => el.getBoundingClientRect());
  const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  boxes.forEach((a, k) => boxes.slice(k + 1).forEach((b, m) => {
    if (over(a, b)) wrong.push(`${name(cards[k])} lies over ${name(cards[k + m + 1])}`);
  }));
  const pieces = [];
  for (const el of document.querySelectorAll(".top *, .card *")) {
    if (!el.checkVisibility({visibilityProperty: true}) || el.closest("select, .plot")) continue;
    const texts = [...el.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim());
    const bar = el.closest(".buttons") && phone;
    if (el.matches("select, input, .buttons button")) pieces.push([el, el.getBoundingClientRect(), bar]);
    for (const node of texts) {
      const range = document.createRange();
      range.selectNodeContents(node);
      // The room of a line of text is taller than its letters.
      const line = range.getBoundingClientRect();
      let box = new DOMRect(line.x, line.y + 0.2 * line.height, line.width, 0.6 * line.height);
      for (let around = el; around && !around.matches("main, header"); around = around.parentElement) {
        const style = getComputedStyle(around), rect = around.getBoundingClientRect();
        if (style.overflowX === "visible" && around.tagName !== "BUTTON") continue;
        const out = box.left < rect.left - 1 || box.right > rect.right + 1
          || box.top < rect.top - 1 || box.bottom > rect.bottom + 1;
        if (out && style.textOverflow !== "ellipsis") wrong.push(`${name(el)} is cut off by ${name(around)}`);
        box = new DOMRect(Math.max(box.left, rect.left), Math.max(box.top, rect.top),
          Math.min(box.right, rect.right) - Math.max(box.left, rect.left),
          Math.min(box.bottom, rect.bottom) - Math.max(box.top, rect.top));
      }
      if (!el.closest(".buttons button")) pieces.push([el, box, bar]);
    }
  }
  for (const [el, box] of pieces) {
    if (box.left < -0.5 || box.right > width + 0.5) wrong.push(`${name(el)} is beside the screen`);
    if (!phone && box.bottom > height + 0.5) wrong.push(`${name(el)} is below the screen`);
    if (box.width < 1 || box.height < 1) wrong.push(`${name(el)} has no room`);
  }
  pieces.forEach(([one, a, bar], k) => pieces.slice(k + 1).forEach(([other, b, otherBar]) => {
    // On a phone the bar of buttons stays where it is, and the page goes on below it.
    if (bar === otherBar && over(a, b)) wrong.push(`${name(one)} lies over ${name(other)}`);
  }));
  return [...new Set(wrong)];
}"""


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, or a skip that says why; with BALANCECORE_REQUIRE_CHROMIUM=1 a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "there is no chromium on this computer (Debian: apt-get install chromium)"
        if os.environ.get("BALANCECORE_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"{reason}, and BALANCECORE_REQUIRE_CHROMIUM=1 asks for it")
        pytest.skip(reason)
    # Chromium's sandbox does not work for root, as whom tests run in containers.
    words = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with playwright.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=found, args=words)
        yield browser
        browser.close()


@contextmanager
def command(folder, device, *words):
    """The command; its page's address."""
    folder.mkdir()
    words = ["live", "--device", device, "--out", str(folder / "out"), "--port", "0", "--mass", "70", *words]
    with (folder / "err.txt").open("w") as err:
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words], stdin=subprocess.DEVNULL, stderr=err
        )
    try:
        while not (said := re.search(r"^page: (\S+)", (folder / "err.txt").read_text(), re.MULTILINE)):
            assert child.poll() is None, (folder / "err.txt").read_text()
            time.sleep(0.05)
        yield said[1]
    finally:
        child.terminate()
        assert child.wait(PATIENCE_MS / 1000) == 128 + 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live") / "session"


@pytest.fixture(scope="module")
def url(folder, chromium):
    targets = ("tc.si=-3:3", "tc=235:265", "cadence=165:185", "peak_brake=-0.35:0")
    with command(folder, DEVICE, *(f"--target={target}" for target in targets)) as address:
        yield address


@pytest.fixture
def look(url, chromium):
    """Opens the page in a browser of its own; at the end, nothing has gone wrong in any of them."""
    opened, wrong, asked = [], [], []

    def told(message):
        # The hint is about the test, which reads pixels.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            wrong.append(message.text)

    def page(screen="laptop", scheme="light", address=url):
        width, height = SCREENS[screen]
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        made = context.new_page()
        made.on("console", told)
        made.on("pageerror", lambda error: wrong.append(str(error)))
        made.on("request", lambda request: asked.append(request.url))
        made.on("websocket", lambda socket: asked.append(socket.url))
        made.goto(address)
        playwright.expect(made.locator("body")).not_to_have_attribute("data-state", "starting")
        return made

    page.wrong = wrong
    yield page
    for context in opened:
        context.close()
    assert wrong == []
    elsewhere = {
        one for one in asked if urlsplit(one).scheme != "data" and urlsplit(one).hostname != "127.0.0.1"
    }
    assert elsewhere == set()
    assert asked


def recorded(page):
    """The page, of a session that is recording, whoever has started it."""
    if page.locator("#start").is_enabled():
        page.click("#start")
    state(page, "recording")
    return page


@pytest.fixture
def recording(look):
    return recorded(look())


def state(page, wanted):
    playwright.expect(page.locator("body")).to_have_attribute("data-state", wanted, timeout=PATIENCE_MS)


def until(page, holds, arg=None):
    """Wait for an expression of the page; by asking, since its policy forbids what Playwright does in the page."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(holds, arg):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(100)


def number(page, selector):
    """A number as it stands in the page, or None."""
    found = re.search(r"[-+\u2212]?\d+(\.\d+)?", page.inner_text(selector))
    return None if found is None else float(found[0].replace("\u2212", "-"))


def bar(page):
    """Where the symmetry bar ends, %, by its place on the screen and the scale beside it."""
    reach = number(page, "#si-high")
    track, fill = (page.locator(f"#si-bar{part}").bounding_box() for part in ("", " .fill"))
    middle = track["x"] + track["width"] / 2
    ends = (fill["x"] - middle, fill["x"] + fill["width"] - middle)
    return reach * max(ends, key=abs) / (track["width"] / 2)


def seconds(page):
    parts = [int(part) for part in page.inner_text("#timer").split(":")]
    return sum(part * 60**k for k, part in enumerate(reversed(parts)))


def test_the_bar_moves_to_the_asymmetry_that_was_simulated(recording):
    page = recording
    until(page, KNOWN)
    found = []
    while not found or abs(found[-1] - SI) > SI_TOLERANCE:
        assert seconds(page) <= WITHIN_S, found
        page.wait_for_timeout(200)
        found.append(bar(page))
    assert number(page, "#si") == pytest.approx(bar(page), abs=0.3)
    assert page.inner_text("#si-larger") == "left larger"
    assert "above" in page.inner_text("#si-words")
    left, right = (number(page, f"#limb-{place} .value") for place in ("first", "second"))
    assert left == pytest.approx(1000 * LEFT_S, rel=CONTACT_TOLERANCE)
    assert right == pytest.approx(1000 * RIGHT_S, rel=CONTACT_TOLERANCE)
    heights = [page.locator(f"#limb-{place} .fill").bounding_box()["height"] for place in ("first", "second")]
    assert heights[0] / heights[1] == pytest.approx(left / right, rel=0.02)
    until(page, "document.getElementById('cadence').textContent !== '\u2013'")
    assert 165 < number(page, "#cadence") < 185


def test_traces_and_steps_go_on(recording):
    colours = [[0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00]]
    recording.wait_for_timeout(500)
    first = recording.evaluate(PIXELS, colours)
    assert min(first["found"]) > LEAST_PIXELS
    recording.wait_for_timeout(1000)
    second = recording.evaluate(PIXELS, colours)
    assert min(second["found"]) > LEAST_PIXELS
    assert second["sum"] != first["sum"]

    before = number(recording, "#step-number") or 0
    until(
        recording,
        "n => parseInt(document.getElementById('step-number').textContent.split(' ')[1]) > n + 2",
        before,
    )
    rows = [row.inner_text().split("\t") for row in recording.locator("#values tr").all()]
    assert [row[0] for row in rows][:2] == ["contact time", "vertical impulse"]
    assert [row[-1].strip() for row in rows][:2] == ["ms", "BW·s"]
    values = dict((row[0], row[1:3]) for row in rows)
    assert float(values["contact time"][0]) == pytest.approx(1000 * LEFT_S, rel=CONTACT_TOLERANCE)
    assert float(values["contact time"][1]) == pytest.approx(1000 * RIGHT_S, rel=CONTACT_TOLERANCE)


def test_a_reload_keeps_the_session(recording):
    until(recording, KNOWN)
    before, steps = seconds(recording), number(recording, "#step-number")
    recording.reload()
    state(recording, "recording")
    assert seconds(recording) >= before
    assert number(recording, "#step-number") >= steps
    assert number(recording, "#si") is not None
    assert number(recording, "#lost") == 0


def test_a_late_browser_sees_the_same_as_the_first(recording, look):
    other = look("phone")
    state(other, "recording")
    shown = [
        json.loads(page.evaluate("Bokeh.documents[0].get_model_by_name('live').state"))
        for page in (recording, other)
    ]
    assert abs(shown[1]["elapsed_s"] - shown[0]["elapsed_s"]) < WITHIN_S
    assert shown[0]["file"] == shown[1]["file"] is not None
    samples = other.evaluate(
        "Bokeh.documents[0].get_model_by_name('trace').renderers[0].data_source.get_length()"
    )
    assert samples > 500  # the last seconds, not only what came since
    assert other.inner_text("#first-limb") == recording.inner_text("#first-limb") == "Left"


def test_a_chosen_measure_stays_chosen(recording):
    recording.select_option("#metric", "peak_brake")
    playwright.expect(recording.locator("#limb-first .unit")).to_have_text("BW")
    until(recording, "document.querySelector('#limb-first .value').textContent.startsWith('\u2212')")
    recording.reload()
    state(recording, "recording")
    assert recording.input_value("#metric") == "peak_brake"
    recording.locator("#others button", has_text="contact time").click()
    assert recording.input_value("#metric") == "tc"


def test_the_cue_is_heard_when_a_step_is_outside_its_band(recording):
    recording.add_init_script("""
      window.tones = [];
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (...words) {
        window.tones.push(this.frequency.value);
        start.apply(this, words);
      };
    """)
    recording.reload()
    state(recording, "recording")
    assert not recording.is_checked("#sound")
    recording.wait_for_timeout(1000)
    assert recording.evaluate("window.tones") == []
    recording.check("#sound")
    until(recording, "window.tones.length > 1")
    # The left foot is down as long as it should, the right one shorter: the low tone.
    assert set(recording.evaluate("window.tones")) == {440}


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_off_the_screen_cut_off_or_over_anything_else(look, screen):
    page = recorded(look(screen, "dark" if screen == "phone" else "light"))
    until(page, KNOWN)
    assert page.evaluate(LAYOUT, screen == "phone") == []
    for measure in ("peak_brake", "imp_v", "valr_2080_poi13"):
        page.select_option("#metric", measure)
        page.wait_for_timeout(300)
        assert page.evaluate(LAYOUT, screen == "phone") == []
    if screen == "phone":
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        last, buttons = (page.locator(part).bounding_box() for part in (".steps", ".buttons"))
        assert last["y"] + last["height"] <= buttons["y"]
    if kept := os.environ.get("BALANCECORE_SCREENSHOTS"):
        page.select_option("#metric", "tc")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(300)
        page.screenshot(path=f"{kept}/live-{screen}.png")


def test_bad_news_fit_on_every_screen(look):
    """The longest that stands there: losses of both kinds, hours, a failure in words."""
    words = "NI Dev1: the device was there and is gone (error -88705); 20261122-101500_001.tdms holds what came before"
    news = {"state": "failed", "device_state": "failed", "elapsed_s": 37250.0, "message": words}
    with feeding() as feeder:
        play(feeder, 1.0)
        feeder.update(**READY | news | {"trial": 1, "lost": 370, "device_lost": 12000, "markers": 24})
        for screen in SCREENS:
            page = look(screen, "dark", feeder.url)
            state(page, "failed")
            assert page.inner_text("#message") == words
            assert page.inner_text("#timer") == "10:20:50"
            assert page.locator("#lost").is_visible()
            assert page.inner_text("#lost") == "370, device 12000"
            assert page.locator(".buttons button:enabled").count() == 0
            assert page.evaluate(LAYOUT, screen == "phone") == []
            page.close()


def test_limbs_without_a_side_have_their_own_colours(look):
    """The page opens before a step is known, and learns then that they are A and B; later what they are."""
    colours = (
        """[...document.querySelectorAll('#pair .fill')].map((el) => getComputedStyle(el).backgroundColor)"""
    )
    with feeding() as feeder:
        feeder.update(**READY | {"state": "recording", "trial": 1})
        page = look("laptop", "light", feeder.url)
        state(page, "recording")
        for trial, limbs, name in ((1, "AB", "Limb A"), (2, "LR", "Left")):
            steps = [step(k) | {"side": limbs[k]} for k in range(2)]
            feeder.update(**READY | {"state": "recording", "trial": trial}, steps=steps)
            playwright.expect(page.locator("#limb-first .name")).to_have_text(name, timeout=PATIENCE_MS)
            wanted = [tuple(bytes.fromhex(COLOURS[limb][1:])) for limb in limbs]
            assert page.evaluate(colours) == [f"rgb{rgb}" for rgb in wanted]
        page.close()


def test_a_full_disk_leaves_the_device_for_another_recording(look):
    with feeding() as feeder:
        play(feeder, 1.0)
        feeder.update(**READY | {"state": "failed", "device_state": "running", "message": "no space is left"})
        page = look("laptop", "light", feeder.url)
        state(page, "failed")
        assert page.locator(".buttons button:enabled").all_inner_texts() == ["Start", "Tare"]
        # The device goes on, so a capture that falls silent then is news.
        silence = re.compile("Nothing has come from the capture")
        playwright.expect(page.locator("#message")).to_have_text(silence, timeout=PATIENCE_MS)
        page.close()


def test_marker_and_stop_leave_a_whole_file(recording, look, folder):
    recording.fill("#note", "faster from here")
    recording.click("#marker")
    playwright.expect(recording.locator("#markers")).to_have_text("1")
    assert recording.locator("#tare").is_disabled()
    name = recording.inner_text("#file")
    # Another browser may stop it.
    other = look()
    other.click("#stop")
    state(recording, "ready")
    trial = bc.read(folder / "out" / name)
    assert [event.label for event in trial.events] == ["faster from here"]
    assert trial.plates[0].wrench[:, 2].max() > 1000.0
    assert len(trial.plates[0].wrench) / trial.rate_hz == pytest.approx(seconds(recording), abs=1.0)
    playwright.expect(recording.locator("#start")).to_be_enabled()
    assert recording.locator("#stop").is_disabled()
    assert recording.locator("#marker").is_disabled()


def test_a_tare_with_somebody_on_the_belts_is_refused_with_the_reason(look):
    page = look()
    if page.locator("#stop").is_enabled():
        page.click("#stop")
        state(page, "ready")
    page.click("#tare")
    until(page, "/load|stand|plate|empty/.test(document.getElementById('message').textContent)")
    state(page, "ready")


def test_a_tare_of_empty_belts_is_taken(look, tmp_path, chromium):
    with command(tmp_path / "empty", "simulated:treadmill?start_s=60&drift_n=12&noise_n=1") as address:
        page = look(address=address)
        state(page, "ready")
        page.click("#tare")
        state(page, "taring")
        assert page.locator("#start").is_disabled()
        state(page, "ready")
        assert "tare" in page.inner_text("#message")
    # Its program is gone; the page says so, and asks for it in vain.
    state(page, "ended")
    playwright.expect(page.locator("#message")).to_contain_text("has ended")
    page.close()
    assert [one for one in look.wrong if "REFUSED" not in one and "Could not open websocket" not in one] == []
    look.wrong.clear()
