"use strict";
// Everything that is shown comes from the JSON block, and reaches the page as text, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const FLOAT = 0, UNIFORM = 1, FRONT = 2, DOMINATED = 3, BREAKS = 4, DROPPED = 5;
const FIRST = 4;  // where a row's values begin, after trial, kind, name and assignment
const byId = (id) => document.getElementById(id);
const state = { x: DATA.axes[0], y: DATA.axes[1], trial: DATA.knee, sort: "", down: false, hover: null, close: false };

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Numbers as people read them: the same rules as the rest of the page, which Python writes.
function fixed(value, digits) {  // to the even digit where the value lies just in the middle
  const times = value * 10 ** digits;
  const middle = Number.isInteger(value * 2 ** (digits + 1)) && Math.abs(times % 1) === 0.5;
  return (middle ? 2 * Math.round(times / 2) / 10 ** digits : value).toFixed(digits);
}
function significant(value, digits) {
  const place = digits - 1 - Number(value.toExponential().split("e")[1]);
  return +(place >= 0 && place <= 20 ? fixed(value, place) : value.toPrecision(digits));
}
function general(value, digits) {
  const short = significant(value, digits), size = Math.abs(short);
  if (size === 0 || size >= 1e-4 && size < 1e18) return String(short);
  return short.toExponential().replace(/e([+-])(\d)$/, (_, sign, digit) => `e${sign}0${digit}`);
}
function binary(value) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (Math.abs(value) >= 1024 && power < names.length - 1) { value /= 1024; power++; }
  return fixed(value, power ? 1 : 0) + " " + names[power];
}
function shortened(value, digits) {
  const names = ["", " k", " M", " G", " T", " P"];
  let power = 0;
  while (Math.abs(significant(value, digits)) >= 1000 && power < names.length - 1) { value /= 1000; power++; }
  return significant(value, digits) + names[power];
}
function duration(seconds) {
  if (seconds < 0) return "-" + duration(-seconds);
  if (seconds < 60) return seconds >= 0.1 ? fixed(seconds, 1) + " s" : fixed(seconds * 1e3, 1) + " ms";
  const two = (count) => String(Math.floor(count)).padStart(2, "0");
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + two(seconds % 60) + " s";
  return Math.floor(seconds / 3600) + " h " + two(seconds % 3600 / 60) + " min";
}
function human(value, unit) {
  if (value === null) return "not finite";
  if (unit === "bytes") return binary(value);
  if (unit === "fraction") return fixed(value * 100, 2) + "%";
  const size = Math.abs(value), named = ["dB", "ms", "s"].includes(unit) ? " " + unit : "";
  if (size >= 1e18) return general(value, 3) + named;
  if (unit === "s" || unit === "ms" && size >= 9999.5) return duration(unit === "s" ? value : value / 1e3);
  if (!named && Number.isInteger(value) && size >= 10) return shortened(value, 3);
  return (size >= 9999.5 ? shortened(value, 4) : general(value, 4)) + named;
}
function formatOf(letter) {
  const code = letter.charCodeAt(0);
  const place = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".indexOf(letter);
  return DATA.formats[place >= 0 ? place : code - 0x100];
}
function shorten(text, most) { return text.length > most ? text.slice(0, most - 1) + "…" : text; }
function assignmentLines(row) {
  const letters = Array.from(row[3]);
  const chosen = letters.map((letter, place) => [DATA.sites[place], formatOf(letter)]);
  if (row[1] === FLOAT) return ["no site is quantized"];
  if (chosen.length <= 14) return chosen.map(([site, format]) => shorten(site, 40) + " " + format);
  const counts = new Map();
  for (const [, format] of chosen) counts.set(format, (counts.get(format) || 0) + 1);
  return Array.from(counts, ([format, count]) => format + " at " + count + (count === 1 ? " site" : " sites"));
}
const KINDS = ["the float model", "uniform assignment", "on the front", "dominated", "breaks a limit",
  "dropped early: an estimate"];

// The scatter.
const visible = (row) => row[FIRST + state.x] !== null && row[FIRST + state.y] !== null;
const near = (row) => !state.close || row[1] === FRONT || row[1] === UNIFORM;
function axis(place, start, end) {
  const metric = DATA.metrics[place];
  const values = DATA.rows.filter(visible).filter(near).map((row) => row[FIRST + place]);
  for (const bound of [metric.low, metric.high]) if (bound !== null) values.push(bound);
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (!values.length) { low = 0; high = 1; }
  const log = low > 0 && high / low > 4 && metric.unit !== "fraction";
  const forward = log ? Math.log2 : (value) => value;
  low = forward(low); high = forward(high);
  // Of values that are equal but for the digits that were rounded off, one stands in the middle.
  const margin = high - low > 1e-5 * Math.abs(high) ? 0.05 * (high - low) : Math.abs(high) * 0.05 || 0.5;
  low -= margin; high += margin;
  // Bytes are spelled in powers of 1024, and so are round in these.
  const unit = metric.unit === "bytes" && !log && high > 1 ? 1024 ** Math.floor(Math.log2(high) / 10) : 1;
  const rough = (high - low) / (Math.abs(end - start) > 450 ? 6 : 5), power = unit * 10 ** Math.floor(Math.log10(rough / unit));
  const step = [1, 2, 5, 10].map((times) => power * times).find((size) => size >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n <= Math.floor(high / step + 1e-9); n++)
    ticks.push(log ? 2 ** (n * step) : +(n * step).toPrecision(12));
  if (metric.unit === "fraction") while (ticks.at(-1) > 1 && ticks[0] <= 1) ticks.pop();  // no share is more than all
  const whole = metric.unit === "fraction" && step >= 0.01;
  const spell = (value) => whole ? Math.round(value * 100) + "%" : human(value, metric.unit).replace(".0 ", " ");
  return { metric, log, ticks, spell,
    shows: (value) => forward(value) >= low && forward(value) <= high,
    at: (value) => start + (end - start) * (forward(value) - low) / (high - low) };
}
let plotted = [];
function scatter() {
  const box = byId("chart");
  const width = Math.max(300, Math.round(box.clientWidth)), height = Math.round(Math.min(460, Math.max(300, width * 0.6)));
  const x = axis(state.x, 66, width - 12), y = axis(state.y, height - 46, 26);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
    "aria-label": `${y.metric.name} against ${x.metric.name}; arrow keys go along the front, Enter selects` });
  for (const value of x.ticks) {
    svg.append(draw("line", { class: "gridline", x1: x.at(value), x2: x.at(value), y1: 26, y2: height - 46 }));
    svg.append(draw("text", { x: x.at(value), y: height - 30, "text-anchor": x.at(value) > width - 34 ? "end" : "middle", "font-size": 11 }, x.spell(value)));
  }
  for (const value of y.ticks) {
    svg.append(draw("line", { class: "gridline", x1: 66, x2: width - 12, y1: y.at(value), y2: y.at(value) }));
    svg.append(draw("text", { x: 60, y: y.at(value) + 4, "text-anchor": "end", "font-size": 11 }, y.spell(value)));
  }
  const said = (a) => a.metric.name + (a.log ? " (logarithmic)" : "") + (a.metric.goal === "max" ? ", more is better" : ", less is better");
  svg.append(draw("text", { x: width / 2, y: height - 8, "text-anchor": "middle", "font-size": 12 }, said(x)));
  svg.append(draw("text", { x: 8, y: 14, "font-size": 12 }, said(y)));
  limits(svg, x, y, width, height);
  const inside = (row) => x.shows(row[FIRST + state.x]) && y.shows(row[FIRST + state.y]);
  plotted = DATA.rows.filter(visible).filter(inside).map((row) => ({ row, px: x.at(row[FIRST + state.x]), py: y.at(row[FIRST + state.y]) }));
  faint(svg, "dominated", plotted.filter((p) => p.row[1] === DOMINATED || p.row[1] === DROPPED), 2.2);
  faint(svg, "broken", plotted.filter((p) => p.row[1] === BREAKS), 2);
  stairs(svg);
  for (const p of plotted.filter((p) => p.row[1] === FRONT))
    svg.append(draw("circle", { class: "front", cx: p.px, cy: p.py, r: 4.5 }));
  references(svg, width, height);
  const rings = draw("g", { id: "rings" });
  svg.append(rings);
  svg.addEventListener("pointermove", (event) => point(nearest(event)));
  svg.addEventListener("pointerleave", () => point(null));
  svg.addEventListener("click", (event) => { const p = nearest(event); if (p) select(p.row[0]); });
  svg.addEventListener("keydown", keyed);
  svg.addEventListener("blur", () => point(null));
  box.querySelectorAll("svg,.still").forEach((old) => old.remove());
  box.prepend(svg);
  const lost = DATA.rows.filter((row) => !visible(row)).length;
  byId("lost").textContent = lost ? `${lost} candidates with a value that is not finite are not drawn.` : "";
  ringed();
}
function limits(svg, x, y, width, height) {
  for (const [a, upright] of [[x, true], [y, false]])
    for (const [bound, isHigh] of [[a.metric.low, false], [a.metric.high, true]]) {
      if (bound === null) continue;
      const at = a.at(bound), words = `limit ${human(bound, a.metric.unit)}`;
      if (upright) {
        svg.append(draw("rect", { class: "beyond", x: isHigh ? at : 66, y: 26, width: Math.max(0, isHigh ? width - 12 - at : at - 66), height: height - 72 }));
        svg.append(draw("line", { class: "limit", x1: at, x2: at, y1: 26, y2: height - 46 }));
        const end = at > width - 120;
        svg.append(draw("text", { x: at + (end ? -4 : 4), y: 38, "font-size": 11, "text-anchor": end ? "end" : "start" }, words));
      } else {
        svg.append(draw("rect", { class: "beyond", x: 66, y: isHigh ? 26 : at, width: width - 78, height: Math.max(0, isHigh ? at - 26 : height - 46 - at) }));
        svg.append(draw("line", { class: "limit", x1: 66, x2: width - 12, y1: at, y2: at }));
        svg.append(draw("text", { x: 70, y: at - 4, "font-size": 11 }, words));
      }
    }
}
function faint(svg, name, points, r) {  // one path for all: thousands stay quick
  const d = points.map((p) => `M${(p.px - r).toFixed(1)} ${p.py.toFixed(1)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`).join("");
  if (d) svg.append(draw("path", { class: name, d }));
}
function stairs(svg) {
  if (!DATA.stairs || ![state.x, state.y].every((place) => DATA.stairs.includes(place))) return;
  const sign = DATA.metrics[state.x].goal === "min" ? 1 : -1;
  const along = plotted.filter((p) => p.row[1] === FRONT).sort((a, b) => sign * (a.px - b.px));
  const d = along.map((p, n) => (n ? `H${p.px.toFixed(1)}V` : `M${p.px.toFixed(1)} `) + p.py.toFixed(1)).join("");
  if (d) svg.append(draw("path", { class: "stairs", d }));
}
function references(svg, width, height) {
  // The knee's own label, and those of the references, keep off each other.
  const placed = plotted.filter((p) => p.row[1] === FRONT && p.row[0] === DATA.knee).map((p) => [p.px, p.py - 13]);
  for (const p of plotted.filter((p) => p.row[1] <= UNIFORM)) {
    const name = p.row[1] === FLOAT ? "float" : "uniform";
    svg.append(draw("path", { class: name, d: `M${p.px} ${p.py - 6}l6 6l-6 6l-6 -6z` }));
    const words = shorten(p.row[2], 24), end = p.px > width - 24 - 7 * words.length;
    // Where it covers the fewest points, and no other label.
    const wide = 7 * words.length, left = end ? p.px - 9 - wide : p.px + 9;
    let top = p.py + 4, least = Infinity;
    for (const shift of [0, 16, -14, 30, -28, 44]) {
      const at = p.py + 4 + shift;
      if (at < 34 || at > height - 48 || placed.some((q) => Math.abs(q[1] - at) < 12 && Math.abs(q[0] - p.px) < wide)) continue;
      const covered = plotted.filter((q) => q.px > left - 3 && q.px < left + wide && q.py > at - 12 && q.py < at + 3).length;
      if (covered + Math.abs(shift) / 8 < least) { least = covered + Math.abs(shift) / 8; top = at; }
    }
    placed.push([p.px, top]);
    svg.append(draw("text", { class: name, x: p.px + (end ? -9 : 9), y: top, "font-size": 11, "text-anchor": end ? "end" : "start" }, words));
  }
}
function ringed() {
  const rings = byId("rings");
  if (!rings) return;
  rings.replaceChildren();
  for (const p of plotted) {
    if (p.row[1] !== FRONT) continue;
    if (p.row[0] === DATA.knee) {
      rings.append(draw("circle", { class: "knee", cx: p.px, cy: p.py, r: 9 }));
      rings.append(draw("text", { class: "front", x: p.px + (p.px < 130 ? 6 : -6), y: p.py - 13, "font-size": 12, "font-weight": 600, "text-anchor": p.px < 130 ? "start" : "end" }, "★ " + p.row[0]));
    }
    if (p.row[0] === state.trial) rings.append(draw("circle", { class: "current", cx: p.px, cy: p.py, r: 7 }));
  }
  if (state.hover) rings.append(draw("circle", { class: "current", cx: state.hover.px, cy: state.hover.py, r: 6, "stroke-width": 2 }));
}
function nearest(event) {
  const svg = event.currentTarget, box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
  const px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
  let best = null, least = 24 * 24;
  for (const p of plotted) {
    let far = (p.px - px) ** 2 + (p.py - py) ** 2;
    if (p.row[1] <= FRONT) far *= 0.4;  // what matters is easier to hit
    if (far < least) { least = far; best = p; }
  }
  return best;
}
function point(p) {
  const tip = byId("tip");
  state.hover = p;
  tip.hidden = !p;
  ringed();
  if (!p) return;
  const row = p.row;
  const values = DATA.metrics.map((metric, place) => `${metric.name} ${human(row[FIRST + place], metric.unit)}`);
  const lines = [`trial ${row[0]}${row[2] ? ", " + row[2] : ""} – ${KINDS[row[1]]}`, values.join(", "), ...(DATA.noise[row[0]] || []), ...assignmentLines(row)];
  tip.replaceChildren(...lines.map((line, n) => make("div", n ? {} : { class: "first" }, line)));
  const svg = byId("chart").querySelector("svg"), scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const left = p.px * scale, beyond = left > svg.getBoundingClientRect().width / 2;
  tip.style.left = beyond ? "auto" : left + 14 + "px";
  tip.style.right = beyond ? svg.getBoundingClientRect().width - left + 14 + "px" : "auto";
  tip.style.top = Math.max(0, p.py * scale - 20) + "px";
}
function keyed(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const along = plotted.filter((p) => p.row[1] <= FRONT).sort((a, b) => a.px - b.px);
  if (step && along.length) {
    const now = state.hover ? along.indexOf(state.hover) : along.findIndex((p) => p.row[0] === state.trial) - step;
    point(along[(now + step + along.length) % along.length]);
    event.preventDefault();
  } else if (event.key === "Enter" && state.hover) select(state.hover.row[0]);
  else if (event.key === "Escape") point(null);
}

// The table.
function sortable() {
  for (const head of document.querySelectorAll("#front thead th[data-sort]")) {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const again = state.sort === head.dataset.sort;
      sortBy(head.dataset.sort, again ? !state.down : false);
      remember();
    });
  }
}
function sortBy(name, down) {
  const heads = Array.from(document.querySelectorAll("#front thead th"));
  const column = heads.findIndex((head) => head.dataset.sort === name);
  if (column < 0) return;
  state.sort = name; state.down = down;
  heads.forEach((head, n) => n === column ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
  const key = (row) => { const text = row.cells[column]?.dataset.value; return text === undefined ? NaN : text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text); };
  const sign = down ? -1 : 1;
  const rows = Array.from(byId("members").rows).map((row) => [key(row), row]);
  rows.sort(([a], [b]) => Number.isNaN(a) - Number.isNaN(b) || (a === b ? 0 : sign * (a < b ? -1 : 1)));
  byId("members").append(...rows.map(([, row]) => row));
}
async function copy(event) {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const text = button.dataset.command ?? byId(button.dataset.of).textContent;
  try { await navigator.clipboard.writeText(text); }
  catch {  // where a page may not write to the clipboard, the text is selected, and copied the old way
    const held = make("textarea", { readonly: "", class: "held" });
    held.value = text;
    document.body.append(held);
    held.select();
    document.execCommand("copy");
    held.remove();
    button.focus();
  }
  const label = button.dataset.label ??= button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

// The member that is looked at.
function select(trial) {
  if (!DATA.members.includes(trial)) return;
  state.trial = trial;
  remember();
  showMember();
}
function showMember() {
  for (const row of document.querySelectorAll("#members tr")) {
    const chosen = Number(row.dataset.trial) === state.trial;
    row.classList.toggle("selected", chosen);
    if (chosen) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
  for (const [name, command] of Object.entries(DATA.commands)) {
    const code = byId(name + "-command");
    if (code && state.trial !== null) code.textContent = command.replaceAll("{trial}", state.trial);
  }
  const choice = byId("member");
  if (choice) choice.value = String(state.trial);
  ringed();
  marked();
  bars();
}
function marked() {  // its column in the heat map
  const mark = byId("column");
  if (!mark || !DATA.heat) return;
  const column = DATA.heat.members.indexOf(state.trial);
  mark.setAttribute("visibility", column < 0 ? "hidden" : "visible");
  if (column >= 0) mark.setAttribute("x", DATA.heat.left + column * DATA.heat.cell);
}
function bars() {
  const box = byId("bars");
  if (!box) return;
  box.replaceChildren();
  const row = DATA.rows.find((r) => r[0] === state.trial && r[1] === FRONT);
  if (!row) return;
  const formats = new Map();
  Array.from(row[3]).forEach((letter, place) => {
    const site = DATA.sites[place], cut = site.lastIndexOf(":"), layer = site.slice(0, cut);
    formats.set(layer, [...(formats.get(layer) || []), `${site.slice(cut + 1)} ${formatOf(letter)}`]);
  });
  const shares = DATA.shares ? DATA.shares.of[String(state.trial)] : null;
  const layers = DATA.shares ? DATA.shares.layers : Array.from(formats.keys());
  const most = shares ? Math.max(1, ...shares.flat()) / 1000 : 1;
  const long = layers.length > 30 ? { class: "bars long", tabindex: 0, role: "region", "aria-label": "layers" } : { class: "bars" };
  const grid = make("div", long);
  layers.forEach((layer, place) => {
    const tracks = make("div", {});
    if (shares) DATA.shares.costs.forEach((cost, n) => {
      const share = shares[n][place] / 1000;
      const bar = make("span", { class: "bar b" + n, style: `width:calc(${(share / most).toFixed(3)} * (100% - 9rem))` });
      tracks.append(make("div", { class: "track" }, bar, `${(share * 100).toFixed(1)}% of ${cost}`));
    });
    const words = (formats.get(layer) || ["stays in float"]).join(", ");
    grid.append(make("div", {}, make("div", { class: "name", title: layer }, layer), make("small", {}, words)), tracks);
  });
  box.append(grid);
}

// The address remembers the view, so that it can be sent along: #x=size&y=accuracy&sort=size&trial=12
function remember() {
  const view = new URLSearchParams({ x: DATA.metrics[state.x].name, y: DATA.metrics[state.y].name });
  if (state.sort) view.set("sort", (state.down ? "-" : "") + state.sort);
  if (state.trial !== null) view.set("trial", state.trial);
  if (state.close) view.set("close", "1");
  history.replaceState(null, "", "#" + view);
}
function recall() {
  const view = new URLSearchParams(location.hash.slice(1));
  for (const which of ["x", "y"]) {
    const place = DATA.metrics.findIndex((metric) => metric.name === view.get(which));
    if (place >= 0) state[which] = place;
    byId("axis-" + which).value = String(state[which]);
  }
  if (view.has("sort")) sortBy(view.get("sort").replace(/^-/, ""), view.get("sort").startsWith("-"));
  if (DATA.members.includes(Number(view.get("trial"))) && view.get("trial")) state.trial = Number(view.get("trial"));
  if (view.has("x")) state.close = view.has("close");
  byId("close").checked = state.close;
  scatter();
  showMember();
}
byId("close").addEventListener("change", (event) => { state.close = event.target.checked; remember(); scatter(); });
for (const which of ["x", "y"]) {
  byId("axis-" + which).append(...DATA.metrics.map((metric, place) => make("option", { value: place }, metric.name)));
  byId("axis-" + which).addEventListener("change", (event) => { state[which] = Number(event.target.value); remember(); scatter(); });
}
sortable();
document.addEventListener("click", copy);
byId("members").addEventListener("click", (event) => {
  if (event.target.closest("button")) return;
  const row = event.target.closest("tr[data-trial]");
  if (row) { event.preventDefault(); select(Number(row.dataset.trial)); }
});
byId("member")?.addEventListener("change", (event) => select(Number(event.target.value)));
document.getElementById("heat")?.addEventListener("click", (event) => {
  const svg = event.currentTarget.querySelector("svg"), at = (event.clientX - svg.getBoundingClientRect().left) * svg.viewBox.baseVal.width / svg.getBoundingClientRect().width;
  const column = Math.floor((at - DATA.heat.left) / DATA.heat.cell);
  if (column >= 0 && column < DATA.heat.members.length) select(DATA.heat.members[column]);
});
addEventListener("hashchange", recall);
addEventListener("beforeprint", () => { document.querySelectorAll("details").forEach((details) => { details.open = true; }); });
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; scatter(); } });
document.querySelectorAll(".controls").forEach((controls) => { controls.hidden = false; });
recall();
document.documentElement.dataset.ready = String(Math.round(performance.now()));  // milliseconds since it was opened
