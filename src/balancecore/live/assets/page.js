// The live page: shows what LiveState (document.py) brings, and sends back what was seen and what was pressed.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const MINUS = "\u2212";
  const NONE = "\u2013";
  // Words of the states, and which buttons they leave.
  const STATES = {
    ready: ["Ready", ["start", "tare"]],
    taring: ["Taring", []],
    recording: ["Recording", ["stop", "marker"]],
    failed: ["Failed", []],
    ended: ["Ended", []],
    lost: ["No connection", []],
  };
  // Scales of symmetry, %, and of cadence where it has no band, steps/min.
  const SI_SCALES = [10, 20, 30, 50, 100, 200];
  const CADENCE_SCALE = [120, 220];
  // The capture is silent, or the page's process is: after so many ms it is said.
  const SILENT_MS = 3000;
  const PRESSED_MS = 800;

  let live, figure, told, shown = null, heard = 0, pressedAt = -1e9, presses = 0, drawn = false, dressed = "";
  const scales = {};

  const make = (tag, cls, ...children) => {
    const made = document.createElement(tag);
    if (cls) made.className = cls;
    made.append(...children);
    return made;
  };
  const finite = (v) => typeof v === "number" && Number.isFinite(v);
  const digits = (size) => (size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  const text = (v, places) => (finite(v) ? v.toFixed(places).replace(/^-(0(\.0+)?)$/, "$1").replace("-", MINUS) : NONE);
  const signed = (v) => (finite(v) ? (v >= 0.05 ? "+" : "") + text(v, 1) + " %" : NONE);
  const bandWords = (band, unit) => (band ? `band ${trim(band[0])} to ${trim(band[1])} ${unit}` : "no band set");
  const trim = (v) => String(+v.toPrecision(4)).replace("-", MINUS);
  const limbName = (limb) => { const name = told.limbs[limb] || limb; return name[0].toUpperCase() + name.slice(1); };
  const remembered = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem("balancecore." + key);
      localStorage.setItem("balancecore." + key, value);
    } catch { /* a browser that keeps nothing forgets it with the page */ }
    return null;
  };

  function begin() {
    const doc = window.Bokeh?.documents?.[0];
    live = doc?.get_model_by_name("live");
    figure = doc?.get_model_by_name("trace");
    if (!live || !figure) { setTimeout(begin, 50); return; }
    told = JSON.parse(live.settings);
    build();
    dress();
    live.properties.state.change.connect(arrived);
    arrived();
    setInterval(watch, 1000);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
    addEventListener("resize", dress);
  }

  // ---- once

  function build() {
    $("device").textContent = told.device;
    $("device").title = told.device;
    $("simulated").hidden = !told.simulated;
    $("strides").textContent = told.strides;
    for (const metric of told.metrics) $("metric").append(new Option(metric.name, metric.key));
    const wanted = remembered("metric");
    const first = told.metrics.find((m) => told.targets[m.key]) || told.metrics[0];
    $("metric").value = (told.metrics.find((m) => m.key === wanted) || first).key;
    $("metric").addEventListener("change", choose);
    for (const place of ["first", "second"]) {
      const limb = make("div", `limb ${place}`,
        make("div", "said", make("span", "name"), make("span", "words")),
        make("div", "reading", make("output", "value"), make("span", "unit")),
        make("div", "up", make("i", "fill"), make("i", "band"), make("i", "mean")));
      limb.id = `limb-${place}`;
      $("pair").append(limb);
      $(`${place}-limb`).classList.add(place);
    }
    for (const metric of told.metrics) {
      const bar = make("div", "across", make("i", "band"), make("i", "fill"), make("i", "zero"));
      const row = make("button", "", make("span", "", metric.name), bar, make("output", ""));
      row.type = "button";
      row.title = metric.definition;
      row.addEventListener("click", () => { $("metric").value = metric.key; choose(); });
      const item = make("li", "", row);
      item.dataset.metric = metric.key;
      $("others").append(item);
      const line = make("tr", "", make("th", "", metric.name), make("td"), make("td"), make("td", "", metric.unit));
      line.dataset.metric = metric.key;
      line.title = metric.definition;
      $("values").append(line);
    }
    told.plates.forEach((plate, k) => {
      const entry = make("span", "", plate);
      entry.dataset.plate = k;
      $("legend").append(entry);
    });
    for (const button of document.querySelectorAll(".buttons button")) {
      button.addEventListener("click", () => press(button.dataset.do));
    }
    $("note").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !$("marker").disabled) press("marker");
    });
    $("sound").checked = remembered("sound") === null ? Boolean(told.sound) : remembered("sound") === "on";
    $("sound").addEventListener("change", () => remembered("sound", $("sound").checked ? "on" : "off"));
  }

  // Colours that follow the light: limbs a little paler on dark ground, the figure's own ink.
  function dress() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const style = getComputedStyle(document.documentElement);
    const rem = parseFloat(style.fontSize);
    const onGround = (hex) => (dark ? paler(hex) : hex);
    const [first, second] = limbs();
    dressed = `${first} ${second}`;
    document.documentElement.style.setProperty("--first", onGround(told.colours[first]));
    document.documentElement.style.setProperty("--second", onGround(told.colours[second]));
    told.plate_colours.forEach((colour, k) => {
      document.querySelector(`[data-plate="${k}"]`).style.setProperty("--plate", onGround(colour));
      figure.renderers[k].glyph.setv({line_color: onGround(colour), line_width: 0.16 * rem}, {sync: false});
    });
    const soft = style.getPropertyValue("--soft").trim();
    const font = {
      major_label_text_color: soft, major_label_text_font_size: `${0.95 * rem}px`,
      axis_line_color: null, major_tick_line_color: null, minor_tick_line_color: null,
    };
    for (const axis of [...figure.left, ...figure.below]) axis.setv(font, {sync: false});
    for (const grid of figure.center) grid.setv({grid_line_color: style.getPropertyValue("--line").trim()}, {sync: false});
  }

  function paler(hex) {
    const part = (at) => Math.round(0.72 * parseInt(hex.slice(at, at + 2), 16) + 0.28 * 255).toString(16).padStart(2, "0");
    return `#${part(1)}${part(3)}${part(5)}`;
  }

  // ---- updates

  // Drawn with the next picture, and acknowledged then: a browser that is slow or hidden is sent no more meanwhile.
  function arrived() {
    heard = performance.now();
    if (drawn || !live.state) return;
    drawn = true;
    requestAnimationFrame(() => {
      drawn = false;
      shown = JSON.parse(live.state);
      draw();
      live.seen = shown.update;
    });
  }

  function draw() {
    const silent = shown.silent_s * 1000 > SILENT_MS && shown.state !== "ended" && !(shown.state === "failed" && isGone());
    drawStatus(shown.state, silent ? `Nothing has come from the capture for ${Math.round(shown.silent_s)} s.` : shown.message);
    drawMeasures();
    drawCadence();
    drawTraces();
    sound();
  }

  // The device itself: after a disk that failed it goes on, and what stops then is worth saying.
  const isGone = () => ["failed", "ended"].includes(shown.device_state);

  function drawStatus(state, message) {
    // A disk that failed leaves the device: another recording can be begun.
    const again = state === "failed" && shown && !isGone();
    const [words, usual] = STATES[state] || [state || "Connecting", []];
    const buttons = again ? STATES.ready[1] : usual;
    document.body.dataset.state = state || "starting";
    $("state").textContent = words;
    $("message").textContent = $("message").title = message || "";
    const busy = performance.now() - pressedAt < PRESSED_MS;
    for (const button of document.querySelectorAll(".buttons button")) {
      button.disabled = busy || !buttons.includes(button.dataset.do);
    }
    if (!shown) return;
    const s = Math.max(0, Math.floor(shown.elapsed_s || 0));
    const two = (v) => String(v).padStart(2, "0");
    $("timer").textContent = s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}`
      : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
    $("device-state").textContent = shown.device_state || NONE;
    const [ofFile, ofDevice] = [shown.lost || 0, shown.device_lost || 0];
    $("lost").textContent = ofDevice > ofFile ? `${ofFile}, device ${ofDevice}` : ofFile;
    $("lost-fact").classList.toggle("bad", ofFile + ofDevice > 0);
    $("buffer").textContent = finite(shown.buffer) ? `${Math.round(100 * shown.buffer)} %` : NONE;
    const rate = finite(shown.rate_by_host_hz) ? shown.rate_by_host_hz : told.rate_hz;
    $("rate").textContent = `${rate.toFixed(rate < 1000 ? 1 : 0)} Hz`;
    $("file").textContent = shown.file || NONE;
    $("file").title = shown.file || "";
    $("markers").textContent = finite(shown.markers) ? shown.markers : NONE;
  }

  function limbs() {
    if (shown?.symmetry?.limbs) return shown.symmetry.limbs;
    const seen = Object.keys(shown?.last || {});
    return seen.includes("A") || seen.includes("B") ? ["A", "B"] : ["L", "R"];
  }

  const chosen = () => told.metrics.find((m) => m.key === $("metric").value);

  function choose() {
    remembered("metric", $("metric").value);
    if (shown) drawMeasures();
  }

  // The last step that has the value: some are only known when the stride is over.
  function valueOf(limb, metric) {
    for (const step of [shown.last[limb], shown.final[limb]]) {
      const value = step?.values?.[metric.key];
      if (finite(value)) return value * metric.scale;
    }
    return null;
  }

  function drawMeasures() {
    const both = limbs(), metric = chosen(), band = told.targets[metric.key];
    if (both.join(" ") !== dressed) dress(); // limbs without a side have colours of their own
    const means = (shown.symmetry?.means?.[metric.key] || []).map((v) => (finite(v) ? v * metric.scale : null));
    const values = both.map((limb) => valueOf(limb, metric));
    const scale = scaleOf(metric.key, [...values, ...means, ...(band || [])]);
    $("metric-band").textContent = bandWords(band, metric.unit);
    ["first", "second"].forEach((place, k) => {
      const limb = $(`limb-${place}`);
      limb.querySelector(".name").textContent = limbName(both[k]);
      const value = limb.querySelector(".value");
      value.textContent = text(values[k], digits(scale.size));
      value.dataset.wide = value.textContent.length > 3;
      limb.querySelector(".unit").textContent = metric.unit;
      verdict(limb.querySelector(".words"), values[k], band, "");
      $(`${place}-limb`).textContent = limbName(both[k]);
      const at = (v) => 100 * (v - scale.low) / (scale.high - scale.low);
      upright(limb.querySelector(".fill"), finite(values[k]) ? [at(Math.min(0, values[k])), at(Math.max(0, values[k]))] : null);
      upright(limb.querySelector(".band"), band && [at(band[0]), at(band[1])]);
      const mean = limb.querySelector(".mean");
      mean.hidden = !finite(means[k]);
      if (!mean.hidden) mean.style.top = `${100 - at(means[k])}%`;
    });
    drawSymmetry(both, metric);
    drawSteps(both);
  }

  function upright(piece, ends) {
    piece.hidden = !ends;
    if (!ends) return;
    piece.style.bottom = `${Math.max(0, ends[0])}%`;
    piece.style.top = `${Math.max(0, 100 - ends[1])}%`;
  }

  function lying(piece, ends) {
    piece.hidden = !ends;
    if (!ends) return;
    const low = Math.min(100, Math.max(0, ends[0])), high = Math.min(100, Math.max(0, ends[1]));
    piece.style.left = `${low}%`;
    piece.style.width = `${high - low}%`;
  }

  // From zero to a round number beyond everything so far, so that the scale doesn't breathe with the steps.
  function scaleOf(key, values) {
    const known = (scales[key] ??= {low: 0, high: 0, size: 0});
    for (const v of values.filter(finite)) {
      if (v > known.high) known.high = round(v);
      if (v < known.low) known.low = -round(-v);
    }
    known.size = Math.max(known.high, -known.low);
    return known.size ? known : {low: 0, high: 1, size: 1};
  }

  function round(v) {
    const unit = 10 ** Math.floor(Math.log10(1.12 * v));
    return unit * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((k) => k * unit >= 1.12 * v);
  }

  function verdict(element, value, band, last = " band") {
    const where = !band || !finite(value) ? "" : value < band[0] ? "below" : value > band[1] ? "above" : "in";
    element.className = `words ${where} ${where === "above" || where === "below" ? "out" : ""}`;
    element.textContent = where && (where === "in" ? "in band" : where + last);
  }

  function drawSymmetry(both, metric) {
    const found = shown.symmetry?.si || {};
    const si = found[metric.key], band = told.targets[`${metric.key}.si`];
    const named = both.map((limb) => told.limbs[limb] || limb);
    $("si").textContent = finite(si) ? signed(si).slice(0, -2) : NONE;
    $("si-band").textContent = bandWords(band, "%");
    const awaited = {recording: "waiting for steps of both limbs", ready: "Start shows steps"};
    const larger = !finite(si) ? awaited[shown.state] || "not known"
      : Math.abs(si) < 0.05 ? "equal" : `${named[si > 0 ? 0 : 1]} larger`;
    verdict($("si-words"), si, band);
    $("si-larger").textContent = larger;
    const reach = centred($("si-bar"), si, band);
    $("si-low").textContent = `${MINUS}${reach}`;
    $("si-high").textContent = `+${reach}`;
    $("si-first").textContent = `${named[1]} larger`;
    $("si-second").textContent = `${named[0]} larger`;
    for (const item of $("others").children) {
      const key = item.dataset.metric;
      item.hidden = key === metric.key;
      centred(item.querySelector(".across"), found[key], told.targets[`${key}.si`]);
      item.querySelector("output").textContent = signed(found[key]);
    }
  }

  function centred(bar, si, band) {
    const most = Math.max(...[si, ...(band || [])].filter(finite).map(Math.abs), 0);
    const reach = SI_SCALES.find((scale) => scale >= 1.05 * most) || SI_SCALES.at(-1);
    const at = (v) => 50 + 50 * v / reach;
    const fill = bar.querySelector(".fill");
    lying(fill, finite(si) ? [at(Math.min(0, si)), at(Math.max(0, si))] : null);
    fill.style.background = si > 0 ? "var(--first)" : "var(--second)";
    lying(bar.querySelector(".band"), band && [at(band[0]), at(band[1])]);
    return reach;
  }

  function drawSteps(both) {
    const steps = both.map((limb) => shown.last[limb]);
    for (const line of $("values").children) {
      const metric = told.metrics.find((m) => m.key === line.dataset.metric);
      steps.forEach((step, k) => {
        const value = step?.values?.[metric.key];
        line.children[1 + k].textContent = text(finite(value) ? value * metric.scale : null, metric.digits);
      });
    }
    const numbers = steps.filter(Boolean).map((step) => step.number);
    $("step-number").textContent = numbers.length ? `number ${Math.max(...numbers)}` : "no step yet";
    const flagged = steps.filter((step) => step?.flags?.length)
      .map((step) => `${told.limbs[step.side] || step.side}: ${step.flags.join(", ")}`);
    $("flags").textContent = flagged.join("; ");
    $("flags").title = $("flags").textContent;
  }

  function drawCadence() {
    const band = told.targets.cadence;
    const [low, high] = band ? [band[0] - (band[1] - band[0]) * 1.5, band[1] + (band[1] - band[0]) * 1.5] : CADENCE_SCALE;
    const at = (v) => Math.min(99, Math.max(1, 100 * (v - low) / (high - low)));
    $("cadence").textContent = text(shown.cadence, 0);
    $("cadence-band").textContent = bandWords(band, "");
    $("cadence-low").textContent = trim(low);
    $("cadence-high").textContent = trim(high);
    const bar = $("cadence-bar"), needle = bar.querySelector(".needle");
    lying(bar.querySelector(".band"), band && [at(band[0]), at(band[1])]);
    needle.hidden = !finite(shown.cadence);
    if (!needle.hidden) needle.style.left = `${at(shown.cadence)}%`;
    verdict($("cadence-words"), shown.cadence, band);
  }

  function drawTraces() {
    if (!finite(shown.now_s)) return;
    const end = Math.max(shown.now_s, told.shown_s);
    figure.x_range.setv({start: end - told.shown_s, end}, {sync: false});
  }

  // ---- buttons and sound

  function press(what) {
    pressedAt = performance.now();
    for (const button of document.querySelectorAll(".buttons button")) button.disabled = true;
    live.pressed = JSON.stringify({press: ++presses, do: what, text: what === "marker" ? $("note").value : ""});
    if (what === "marker") $("note").value = "";
  }

  let audio = null;
  const sounded = {};
  addEventListener("pointerdown", () => { if ($("sound").checked) audio ??= new AudioContext(); });
  $("sound").addEventListener("change", () => { if ($("sound").checked) audio ??= new AudioContext(); });

  function sound() {
    const metric = chosen(), band = told.targets[metric.key];
    for (const [limb, step] of Object.entries(shown.final)) {
      if (sounded[limb] === step.number) continue;
      const isFirst = sounded[limb] === undefined;
      sounded[limb] = step.number;
      const value = step.values?.[metric.key];
      if (isFirst || !audio || !$("sound").checked || !band || !finite(value)) continue;
      const at = value * metric.scale;
      if (at < band[0]) beep(440);
      if (at > band[1]) beep(880);
    }
  }

  function beep(hz) {
    const tone = audio.createOscillator(), loudness = audio.createGain(), now = audio.currentTime;
    tone.frequency.value = hz;
    loudness.gain.setValueAtTime(0, now);
    loudness.gain.linearRampToValueAtTime(0.25, now + 0.01);
    loudness.gain.linearRampToValueAtTime(0, now + 0.14);
    tone.connect(loudness).connect(audio.destination);
    tone.start(now);
    tone.stop(now + 0.15);
  }

  // ---- the page's process is gone: say so, and come back when it does

  let visible = 0;
  async function watch() {
    visible = document.visibilityState === "visible" ? visible + 1 : 0;
    if (visible < 3 || performance.now() - heard < SILENT_MS) return;
    if (shown?.state === "ended") drawStatus("ended", "The program has ended. This page comes back when it runs again.");
    else drawStatus("lost", "This page has no connection to its program, and shows what it last knew.");
    try {
      const answer = await fetch("/page/page.css", {cache: "no-store"});
      if (answer.ok) location.reload();
    } catch { /* not yet */ }
  }

  begin();
})();
