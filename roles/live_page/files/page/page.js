// SPDX-License-Identifier: GPL-3.0-or-later
// Shows what the station says, and how old that is. Whatever it says is put in as text, never as markup.

const EVERY = 5000; // ms between two questions
const SOON = 2100; // ms between the first few
const PATIENCE = 8000; // ms for an answer
const LATE = 15000; // ms without an answer after which people are told

let said = null; // the station's last answer
let saidAt = 0; // when, by a clock that nobody sets
let history = {}; // what it said that seldom changes
let version = null; // which of that
let shown = {}; // what each part of the page was made from

const byId = (id) => document.getElementById(id);

// An element with attributes, properties and children; a string is a text.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

// The station's clock now: this device's own may be wrong.
const now = () => Date.parse(said.now) + (performance.now() - saidAt);

// Lengths and sizes read as in figures.py, which says them in tables and messages.
function roughly(seconds) {
  const length = Math.max(0, seconds);
  for (const [unit, size] of [["days", 86400], ["h", 3600], ["min", 60]]) {
    if (length >= 2 * size) return `${Math.round(length / size)} ${unit}`;
  }
  return `${Math.round(length)} s`;
}

const ago = (iso) => roughly((now() - Date.parse(iso)) / 1000);
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// The station's local time, as it stands in what it said; with the date where that could be another day's.
function clock(iso) {
  const near = Math.abs(Date.parse(said.now) - Date.parse(iso)) < 20 * 3600e3;
  return near ? iso.slice(11, 16) : `${Number(iso.slice(8, 10))} ${MONTHS[iso.slice(5, 7) - 1]}, ${iso.slice(11, 16)}`;
}
const size = (bytes) => (bytes >= 1e12 ? `${(bytes / 1e12).toFixed(1)} TB` : bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);
const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

// Make a part of the page anew only if what it says has changed: nothing flickers, and nothing is read out again.
function part(id, content, make) {
  const key = JSON.stringify(content);
  if (shown[id] === key) return;
  shown[id] = key;
  make(byId(id), content);
}

// Ages go on by themselves, without any news.
const age = (iso, before = "", after = " ago") => el("span", { "data-at": iso, "data-before": before, "data-after": after }, `${before}${ago(iso)}${after}`);

function grow() {
  if (!said) return;
  for (const each of document.querySelectorAll("[data-at]")) {
    each.textContent = `${each.dataset.before}${ago(each.dataset.at)}${each.dataset.after}`;
  }
}

const sign = (level) => el("span", { class: "sign", "data-level": level, "aria-hidden": "true" });

function showVerdict(node, verdict) {
  node.dataset.level = verdict.level;
  byId("verdict-title").textContent = verdict.title;
  byId("verdict-text").replaceChildren(verdict.text, ...about(verdict.cameras));
  document.title = `${{ ok: "✓", warn: "!", bad: "✕", idle: "·" }[verdict.level]} ${verdict.title} – WildBerryEye`;
}

function about(cameras) {
  // One is named in the title, and its card is the first.
  if (cameras.length < 2) return [];
  const links = cameras.slice(0, 6).map((name) => el("a", { href: `#${anchor(name)}` }, name));
  const more = cameras.length > 6 ? ` and ${cameras.length - 6} more` : "";
  return [" See ", ...links.flatMap((link, i) => (i ? [", ", link] : [link])), `${more}.`];
}

// What a station that is away last said says nothing of how it is now.
function verdict(away) {
  if (!away) return said.verdict;
  const was = said.verdict.title;
  const text = `What you see here is how it was at ${clock(said.now)}: \u201c${was}\u201d.`;
  return { level: "warn", title: "The station does not answer", text, cameras: [] };
}

const anchor = (name) => `camera-${encodeURIComponent(name)}`;

function showExperiment(node, experiment) {
  if (!experiment) return node.replaceChildren();
  const end = experiment.state === "recording" ? `, until ${clock(experiment.window_end)}` : "";
  node.replaceChildren("Experiment ", el("strong", {}, experiment.id), `, since ${clock(experiment.opened)}${end}`);
}

function fact(label, value, level = null) {
  return el("div", { "data-level": level }, el("dt", {}, label), el("dd", {}, ...[value].flat()));
}

function camera(it) {
  const whole = `/pictures/${encodeURIComponent(it.name)}.jpg`;
  const picture = it.picture
    ? el(
        "a",
        { class: "picture", href: whole, title: "the whole picture" },
        el("img", { src: `${whole}?${it.picture.version}`, alt: `Latest picture of ${it.name}`, width: 640, height: 480 }),
      )
    : it.level === "idle" ? null : el("p", { class: "picture" }, "no picture");
  const facts = el("dl", {});
  if (it.picture?.taken) facts.append(fact("latest", age(it.picture.taken)));
  if (it.per_hour) facts.append(fact("pictures", `${it.per_hour.until ? "" : "about "}${count(it.per_hour.count)} an hour${it.per_hour.until ? ` at ${clock(it.per_hour.until)}` : ""}`));
  if (it.link) facts.append(fact("link", it.link.text === "answered" ? age(it.last_good, "answered ") : it.link.text, it.link.level));
  if (it.clock) facts.append(fact("clock", it.clock.text, it.clock.level));
  if (it.card) facts.append(fact("card", `${size(it.card.free_bytes)} free${it.card.full ? `, full at about ${clock(it.card.full)}` : ""}`, it.card.level));
  const since = it.since ? el("span", { class: "quiet" }, ` since ${clock(it.since)}`) : null;
  return el(
    "article",
    { class: "camera", id: anchor(it.name), "data-level": it.level, "aria-labelledby": `${anchor(it.name)}-name` },
    picture,
    el(
      "div",
      { class: "about-it" },
      el("h3", { id: `${anchor(it.name)}-name` }, it.name, it.mode && it.mode !== it.name ? el("span", { class: "mode" }, it.mode) : null),
      el("p", { class: "state" }, sign(it.level), el("span", {}, it.state, since)),
      it.text ? el("p", { class: "text" }, it.text) : null,
      facts,
    ),
  );
}

function showCameras(node, cameras) {
  const there = new Map([...node.children].map((child) => [child.id, child]));
  const next = cameras.map((it) => {
    const key = JSON.stringify(it);
    const before = there.get(anchor(it.name));
    if (before?.dataset.key === key) return before;
    const made = camera(it);
    made.dataset.key = key;
    // What is there already is not fetched again.
    const image = made.querySelector("img"), old = before?.querySelector("img");
    if (image && old?.getAttribute("src") === image.getAttribute("src")) image.replaceWith(old);
    return made;
  });
  const kept = next.length > 0 && next.length === there.size && next.every((card, number) => card.id === node.children[number].id);
  if (!kept) return node.replaceChildren(...(next.length ? next : [el("p", { class: "quiet" }, "None is known yet: the first start makes them known.")]));
  next.forEach((card, number) => {
    const before = node.children[number];
    if (card === before) return;
    // Whoever is at it with the keyboard stays there.
    const focused = before.contains(document.activeElement);
    before.replaceWith(card);
    if (focused) card.querySelector("a")?.focus({ preventScroll: true });
  });
}

function showHappened(node, happened) {
  byId("news").hidden = !happened.length;
  node.replaceChildren(
    ...happened.map((it) =>
      el(
        "li",
        {},
        el("time", it.at ? { datetime: it.at } : {}, it.at ? clock(it.at) : ""),
        sign(it.level),
        el("p", {}, it.camera ? el("strong", {}, it.camera, " ") : null, it.said, it.text ? el("span", { class: "quiet" }, ` – ${it.text}`) : null),
      ),
    ),
  );
}

// -- the time line: per camera, when it recorded, and below it how much it saw --------------------------

const WIDE = 100; // per cent
const SVG = "http://www.w3.org/2000/svg";
const KINDS = { recording: "recorded", "not recording": "gap", unknown: "unknown" };

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function showTimeLine(node, line) {
  byId("day").hidden = !line;
  if (!line) return node.replaceChildren();
  byId("day-title").textContent = said.experiment?.id === line.experiment ? "Time line" : `Time line of ${line.experiment}`;
  const begin = line.begin, end = Math.max(line.end, begin + 3600);
  const x = (at) => (WIDE * (Math.min(Math.max(at, begin), end) - begin)) / (end - begin);
  const most = Math.max(1, ...Object.values(line.cameras).flatMap((it) => it.bins.map(([, number]) => number)));
  const rows = Object.entries(line.cameras).map(([name, it]) => timeRow(name, it, line, x, most));
  node.replaceChildren(hatch(), ...rows, ticks(begin, end, x), legend());
}

function hatch() {
  const line = svg("path", { d: "M0 5 5 0M-1 1 1 -1M4 6 6 4", class: "hatching" });
  const pattern = svg("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse" }, line);
  return svg("svg", { width: 0, height: 0, "aria-hidden": "true" }, svg("defs", {}, pattern));
}

function timeRow(name, it, line, x, most) {
  const HIGH = 34, BAR = 10;
  const bars = it.bins.map(([at, number]) => {
    const high = Math.max(1, (HIGH * number) / most);
    const text = svg("title", {}, `${hour(at)}: ${count(number)} pictures in ${line.bin / 60} min`);
    return svg("rect", { class: "count", x: `${x(at)}%`, width: `${Math.max(0.15, x(at + line.bin) - x(at))}%`, y: HIGH - high, height: high }, text);
  });
  const spans = it.spans.map(([from, to, state, cause]) => {
    const kind = KINDS[state] ?? "unknown";
    const text = svg("title", {}, `${hour(from)} to ${hour(to)}: ${state}${cause ? `, ${cause}` : ""}`);
    // However short a gap is, it is to be seen; it has another shape too, for those who see no colours.
    const place = { x: `${x(from)}%`, width: `${Math.max(kind === "recorded" ? 0 : 0.4, x(to) - x(from))}%` };
    const thin = { recorded: 0, gap: 0, unknown: 3 }[kind];
    const bar = svg("rect", { class: kind, ...place, y: HIGH + 2 + thin, height: BAR - 2 * thin });
    const band = kind === "recorded" ? [] : [svg("rect", { class: `${kind} band`, ...place, y: 0, height: HIGH + 2 })];
    return svg("g", {}, text, ...band, bar);
  });
  const facts = [
    it.recorded === null ? null : `recorded ${percent(it.recorded)}`,
    it.gaps ? `${it.gaps} ${it.gaps === 1 ? "gap" : "gaps"}` : "no gap",
    it.images ? `${count(it.images)} pictures home` : "no pictures home yet",
  ];
  return el(
    "div",
    { class: "row" },
    el("p", {}, el("strong", {}, name), el("span", { class: "quiet" }, ` ${facts.filter(Boolean).join(" · ")}`)),
    svg("svg", { width: "100%", height: HIGH + 2 + BAR, "aria-hidden": "true" }, ...spans, ...bars),
  );
}

const percent = (share) => (share > 0.995 && share < 1 ? "99 %" : `${Math.round(100 * share)} %`);

// Seconds since 1970 as the station's local time.
function hour(at) {
  const [, sign, h, m] = said.now.match(/([+-])(\d\d):(\d\d)$/) ?? [null, "+", "00", "00"];
  return new Date((at + (sign === "-" ? -1 : 1) * (h * 3600 + m * 60)) * 1000).toISOString().slice(11, 16);
}

function ticks(begin, end, x) {
  const step = [0.25, 0.5, 1, 2, 3, 6, 12, 24].find((hours) => (end - begin) / 3600 / hours <= 6) ?? 24;
  const made = [];
  // On full hours of the station's clock, wherever that is.
  const shift = Number(hour(0).slice(0, 2)) * 3600 + Number(hour(0).slice(3)) * 60;
  for (let at = Math.ceil((begin + shift) / (step * 3600)) * step * 3600 - shift; at <= end; at += step * 3600) {
    if (x(at) <= 96) made.push(svg("text", { x: `${x(at)}%`, y: 13 }, hour(at)));
  }
  return svg("svg", { class: "ticks", width: "100%", height: 18, "aria-hidden": "true" }, ...made);
}

function legend() {
  const sample = (kind, y, height) => svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, svg("rect", { class: kind, x: 0, width: 22, y, height }));
  return el(
    "p",
    { class: "legend quiet" },
    el("span", {}, sample("recorded", 0, 10), " recording"),
    el("span", {}, sample("gap", 0, 10), " not recording"),
    el("span", {}, sample("unknown", 3, 4), " unknown"),
    el("span", {}, sample("count", 0, 10), " pictures that are home"),
  );
}

const STATES = { recording: "being recorded", closing: "coming home", closed: "home" };

function showExperiments(node, experiments) {
  if (!experiments.length) return node.replaceChildren(el("p", { class: "quiet" }, "None yet."));
  const rows = experiments.map((it) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, it.report ? el("a", { href: `/experiments/${encodeURIComponent(it.id)}/report.html` }, it.id) : it.id),
      el("td", {}, STATES[it.state] ?? it.state, it.given_up.length ? `, without ${it.given_up.join(", ")}` : ""),
      el("td", { class: "number" }, it.images === null ? "" : count(it.images)),
      el("td", { class: "number" }, it.bytes === null ? "" : size(it.bytes)),
    ),
  );
  const head = el("tr", {}, ...[["experiment"], ["state"], ["images", "number"], ["size", "number"]].map(([text, kind]) => el("th", { scope: "col", class: kind ?? null }, text)));
  node.replaceChildren(el("table", {}, el("caption", { class: "hidden" }, "All experiments, the latest first"), el("thead", {}, head), el("tbody", {}, ...rows)));
}

function showDisk(node, disk) {
  node.replaceChildren();
  if (disk) node.append(sign(disk.little ? "warn" : "ok"), ` ${size(disk.free_bytes)} of ${size(disk.total_bytes)} free on the station's disk${disk.little ? ": little" : ""}`);
}

function showProblems(node, problems) {
  node.hidden = !problems.length;
  node.replaceChildren(...problems.map((line) => el("li", {}, line)));
}

function show() {
  part("station", said.station, (node, name) => node.replaceChildren(name ? `· ${name}` : ""));
  part("experiment", said.experiment, showExperiment);
  part("problems", said.problems, showProblems);
  part("cameras", said.cameras, showCameras);
  part("time-line", said.time_line, showTimeLine);
  part("happened", said.happened, showHappened);
  part("experiments", said.experiments, showExperiments);
  part("disk", said.disk, showDisk);
}

function showAge() {
  const silent = said ? performance.now() - saidAt : 0;
  const away = silent > LATE;
  if (said) part("verdict", verdict(away), showVerdict);
  document.body.classList.toggle("away", away);
  byId("fresh").textContent = said ? (silent < 2000 ? "just now" : `as it was ${roughly(silent / 1000)} ago`) : "";
}

async function fetched(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

async function ask() {
  try {
    const found = await fetched("/state.json");
    const at = performance.now();
    // What grows long is fetched only when it is another.
    if (found.history !== version) [history, version] = [await fetched("/history.json"), found.history];
    [said, saidAt] = [{ ...found, ...history }, at];
    show();
  } catch {
    // It is away for a moment: what is shown stays, and its age says so.
    if (!said) byId("verdict-title").textContent = "The station does not answer";
  }
}

// One question at a time, and none while nobody looks. Pictures and the time line come with the first few answers.
let asked = 0;
let next = null;
async function turn() {
  clearTimeout(next);
  if (document.hidden) return;
  next = NaN; // being asked
  asked += 1;
  await ask();
  showAge();
  next = setTimeout(turn, asked < 4 ? SOON : EVERY);
}

turn();
setInterval(() => { grow(); showAge(); }, 1000);
document.addEventListener("visibilitychange", () => Number.isNaN(next) || turn());
