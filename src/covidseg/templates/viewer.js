// The cases: CT, truth and each run's masks as layers, a slider through the scan, windows, filters by run and patient.
// Pictures and the lists of a data set are loaded when a case of it is opened. A link holds case, run and slice.
"use strict";

const HU_WINDOWS = { lung: [-1350, 150], mediastinum: [-160, 240], "lung, narrow": [-1000, 0] };
const SCALES = [100, 50, 20, 10, 5];
const DISPLAY = 640; // pixels of a canvas's longer side, about
const loaded = {};
const pictures = {};
let index = [];
let shown = null; // the case that is open

window.covidsegCases = (name, value) => {
  if (name) loaded[name](value);
  else { index = value; start(); }
};

function dataset(name) {
  const folder = `cases/${name.replace(/[^A-Za-z0-9_.-]+/g, "-")}/`;
  loaded[`folder of ${name}`] ||= new Promise((resolve, reject) => {
    loaded[name] = (value) => resolve({ ...value, folder });
    document.head.append(element("script", { src: `${folder}cases.js`, onerror: reject }));
  });
  return loaded[`folder of ${name}`];
}

function picture(file) {
  pictures[file] ||= new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(`${file} is not there`));
    image.src = file;
  });
  return pictures[file];
}

// ---- links

function asked() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [key, ...rest] = part.split("=");
    try { found[key] = decodeURIComponent(rest.join("=")); } catch { found[key] = rest.join("="); }
  }
  return found;
}

function note() {
  const parts = shown ? [`case=${encodeURIComponent(shown.dataset)}/${encodeURIComponent(shown.name)}`] : [];
  const run = shown ? shown.run : document.querySelector("#filter-run").value;
  if (run) parts.push(`run=${run.split("/").map(encodeURIComponent).join("/")}`);
  if (shown) parts.push(`slice=${shown.slice + 1}`);
  history.replaceState(null, "", `#${parts.join("&")}`);
}

// ---- the list

function filter() {
  const run = document.querySelector("#filter-run").value;
  const patient = document.querySelector("#filter-patient").value;
  const table = document.querySelector("#cases");
  const means = new Map(index.map(([data, name, , , found]) => [`${data}/${name}`, found]));
  const rows = [...table.tBodies[0].rows];
  for (const row of rows) {
    const found = means.get(row.dataset.case);
    row.dataset.mean ||= row.cells[5].textContent;
    row.hidden = (run && found[run] === undefined) || (patient && row.dataset.patient !== patient);
    row.cells[5].textContent = run && found[run] !== undefined ? found[run].toFixed(3) : row.dataset.mean;
    const link = row.cells[0].querySelector("a");
    link.hash = link.hash.split("&run=")[0] + (run ? `&run=${run.split("/").map(encodeURIComponent).join("/")}` : "");
  }
  table.tHead.rows[0].cells[5].textContent = run ? `Dice of ${run}` : "mean Dice";
  rows.sort((a, b) => Number(a.cells[5].textContent) - Number(b.cells[5].textContent));
  table.tBodies[0].append(...rows);
}

function choice(id, words, values) {
  const select = element("select", { id }, element("option", { value: "" }, `all ${words}s`));
  for (const value of values) select.append(element("option", { value }, value));
  select.addEventListener("change", () => { filter(); if (!shown) note(); });
  return element("label", {}, `${words} `, select);
}

function neighbour(step) {
  const rows = [...document.querySelectorAll("#cases tbody tr")].filter((row) => !row.hidden);
  const at = rows.findIndex((row) => row.dataset.case === `${shown.dataset}/${shown.name}`);
  const next = rows[at + step];
  if (next) location.hash = next.cells[0].querySelector("a").hash;
}

// ---- one case

function colour(at, plane) {
  return `hsl(${(at * 67 + plane * 150) % 360} 90% 66%)`;
}

function truthColour(plane) {
  return ["#ffe04a", "#4affd2", "#ff9df0", "#ffffff"][plane % 4];
}

function layersOf(data, about) {
  const runs = Object.keys(data.runs);
  const made = data.classes.map((name, plane) => ({
    key: `truth ${name}`, words: `truth, ${name}`, file: `${about.number}-truth.png`, planes: [plane], colours: [truthColour(plane)], truth: name,
  }));
  const mean = (run) => about.runs[run].dice.filter((v) => v !== null).reduce((a, b, _, all) => a + b / all.length, 0);
  const own = Object.keys(about.runs).sort((a, b) => mean(a) - mean(b));
  for (const run of own) {
    const at = runs.indexOf(run);
    const planes = data.runs[run].map((_, plane) => plane);
    made.push({ key: run, words: run, file: about.runs[run].file, planes, colours: planes.map((plane) => colour(at, plane)), classes: data.runs[run], mean: mean(run), dice: about.runs[run].dice, fold: about.runs[run].fold });
  }
  return made;
}

async function open(wanted) {
  const [name, ...rest] = wanted.case.split("/");
  const place = document.querySelector("#viewer");
  let data;
  try { data = await dataset(name); } catch { place.replaceChildren(`No data set ${name} beside this page.`); place.hidden = false; return; }
  const about = data.cases[rest.join("/")];
  if (!about) { place.replaceChildren(`No case ${wanted.case}.`); place.hidden = false; return; }
  const layers = layersOf(data, about);
  const run = about.runs[wanted.run] ? wanted.run : layers.find((layer) => layer.dice).key;
  const classes = data.runs[run];
  for (const layer of layers) layer.on = layer.key === run || (layer.truth && classes.includes(layer.truth));
  const dice = about.runs[run].dice;
  const worst = dice.reduce((best, v, k) => (v !== null && (best === null || v < dice[best]) ? k : best), null) || 0;
  const slice = Math.min(Math.max((Number(wanted.slice) || worst + 1) - 1, 0), about.slices.length - 1);
  shown = { dataset: name, name: rest.join("/"), data, about, layers, run, slice, fill: true, ct: true };
  build(place);
  await draw();
  document.querySelector("#viewer").scrollIntoView({ block: "start" });
}

function build(place) {
  const { data, about, layers } = shown;
  const [height, width] = about.size;
  const mm = about.mm || [1, 1];
  const marks = element("div", { class: "marks" });
  const doubt = about.sides ? "" : "?";
  marks.append(element("span", { class: "right" }, `R${doubt}`), element("span", { class: "left" }, `L${doubt}`));
  if (about.mm) {
    const length = SCALES.find((value) => value <= 0.35 * width * mm[1]) || SCALES[SCALES.length - 1];
    const scale = element("span", { class: "scale" }, length >= 10 ? `${length / 10} cm` : `${length} mm`);
    scale.style.width = `${(100 * length) / (width * mm[1])}%`;
    marks.append(scale);
  } else marks.append(element("span", { class: "scale" }, "scale not known"));
  const stage = element("div", { class: "stage" }, element("canvas", { id: "ct" }), element("canvas", { id: "layers", role: "img", "aria-label": "CT with the chosen layers" }), marks);
  stage.style.aspectRatio = `${width * mm[1]} / ${height * mm[0]}`;

  const slider = element("input", { type: "range", id: "slice", min: 1, max: about.slices.length, value: shown.slice + 1, "aria-label": "Slice" });
  slider.addEventListener("input", () => { shown.slice = Number(slider.value) - 1; draw(); });
  const windows = element("select", { id: "window" });
  if (about.hu && data.window) {
    const own = `as stored (${data.window[0]} to ${data.window[1]} HU)`;
    for (const [words, range] of Object.entries({ [own]: data.window, ...HU_WINDOWS })) {
      windows.append(element("option", { value: range.join() }, range === data.window ? words : `${words} (${range[0]} to ${range[1]} HU)`));
    }
  } else windows.append(element("option", { value: "" }, "as stored (HU not known)"));
  windows.addEventListener("change", draw);
  const fill = element("button", { type: "button", "aria-pressed": "true" }, "filled");
  fill.addEventListener("click", () => { shown.fill = !shown.fill; fill.setAttribute("aria-pressed", String(shown.fill)); draw(); });
  const tools = element("div", { class: "tools" },
    element("button", { type: "button", onclick: () => neighbour(-1) }, "worse case"),
    element("button", { type: "button", onclick: () => neighbour(1) }, "better case"),
    element("label", {}, "window ", windows), fill,
    element("button", { type: "button", onclick: () => { shown = null; place.hidden = true; note(); } }, "close"));

  const list = element("ul", { class: "layers" });
  list.append(layerLine({ key: "CT", words: "CT", colours: [], on: true }, (on) => { shown.ct = on; }));
  for (const layer of layers) list.append(layerLine(layer, (on) => { layer.on = on; if (on && layer.dice) { shown.run = layer.key; note(); } }));
  const words = `${data.title}; patient ${about.patient}; ${about.slices.length} tested ${about.slices.length === 1 ? "slice" : "slices"}`;
  place.replaceChildren(element("div", { class: "viewer" },
    element("div", {}, stage, slider, element("p", { class: "caption", id: "said", "aria-live": "polite" }), tools),
    element("div", {}, element("h2", {}, shown.name), element("p", { class: "muted" }, words), element("p", { class: "caption" }, "Layers; runs the worst first, with the Dice of this slice and the mean of the case:"), list)),
    filterElement());
  place.hidden = false;
}

function layerLine(layer, change) {
  const box = element("input", { type: "checkbox", "data-layer": layer.key });
  box.checked = layer.on;
  box.addEventListener("change", () => { change(box.checked); draw(); });
  const label = element("label", {}, box);
  layer.colours.forEach((value, k) => {
    const swatch = element("span", { class: "swatch", title: layer.classes ? layer.classes[k] : layer.words });
    swatch.style.background = value;
    label.append(swatch);
  });
  label.append(element("span", {}, layer.words), element("span", { class: "muted", "data-dice": layer.key }));
  return element("li", {}, label);
}

function filterElement() {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("width", 0);
  made.setAttribute("height", 0);
  made.setAttribute("aria-hidden", "true");
  made.innerHTML = '<filter id="hu" color-interpolation-filters="sRGB"><feComponentTransfer><feFuncR type="linear"/><feFuncG type="linear"/><feFuncB type="linear"/></feComponentTransfer></filter>';
  return made;
}

function applyWindow(canvas) {
  const { data } = shown;
  const value = document.querySelector("#window").value;
  canvas.style.filter = "none";
  if (!value) return;
  const [low, high] = value.split(",").map(Number);
  const [from, to] = data.window;
  for (const channel of document.querySelectorAll("#hu feComponentTransfer *")) {
    channel.setAttribute("slope", (to - from) / (high - low));
    channel.setAttribute("intercept", (from - low) / (high - low));
  }
  if (low !== from || high !== to) canvas.style.filter = "url(#hu)";
}

async function draw() {
  const now = shown;
  if (!now) return;
  const { data, about, slice, layers } = now;
  const [height, width] = about.size;
  const factor = Math.max(1, Math.round(DISPLAY / Math.max(width, height)));
  const on = layers.filter((layer) => layer.on);
  const files = [`${about.number}-ct.jpg`, ...on.map((layer) => layer.file)];
  let images;
  try { images = await Promise.all(files.map((file) => picture(data.folder + file))); } catch (error) { document.querySelector("#said").textContent = error.message; return; }
  if (shown !== now || now.slice !== slice) return;
  const column = slice % about.columns;
  const row = Math.floor(slice / about.columns);
  const rows = Math.ceil(about.slices.length / about.columns);
  const ct = document.querySelector("#ct");
  const top = document.querySelector("#layers");
  for (const canvas of [ct, top]) { canvas.width = width * factor; canvas.height = height * factor; }
  if (now.ct) ct.getContext("2d").drawImage(images[0], column * width, row * height, width, height, 0, 0, ct.width, ct.height);
  applyWindow(ct);
  const context = top.getContext("2d");
  on.forEach((layer, k) => layer.planes.forEach((plane, c) => {
    const mask = canvasOf(top);
    const pen = mask.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.drawImage(images[k + 1], column * width, (row + plane * rows) * height, width, height, 0, 0, mask.width, mask.height);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = layer.colours[c];
    pen.fillRect(0, 0, mask.width, mask.height);
    if (now.fill && !layer.truth) { context.globalAlpha = 0.35; context.drawImage(mask, 0, 0); }
    const line = canvasOf(top);
    const edge = line.getContext("2d");
    for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]]) edge.drawImage(mask, 2 * x, 2 * y);
    edge.globalCompositeOperation = "destination-out";
    edge.drawImage(mask, 0, 0);
    context.globalAlpha = 1;
    context.drawImage(line, 0, 0);
  }));
  for (const layer of layers) {
    if (!layer.dice) continue;
    const value = layer.dice[slice];
    document.querySelector(`[data-dice="${CSS.escape(layer.key)}"]`).textContent = `${value === null ? "not tested" : value.toFixed(3)}; mean ${layer.mean.toFixed(3)}, fold ${layer.fold}`;
  }
  document.querySelector("#said").textContent = `Slice ${slice + 1} of ${about.slices.length}: ${about.slices[slice]}`;
  const stage = document.querySelector(".stage");
  stage.dataset.drawn = Number(stage.dataset.drawn || 0) + 1;
  note();
}

function canvasOf(like) {
  const made = document.createElement("canvas");
  made.width = like.width;
  made.height = like.height;
  return made;
}

// ---- begin

function follow() {
  const wanted = asked();
  if (wanted.run !== undefined && !wanted.case) { document.querySelector("#filter-run").value = wanted.run; filter(); }
  if (wanted.case && !(shown && wanted.case === `${shown.dataset}/${shown.name}` && (!wanted.run || wanted.run === shown.run))) open(wanted);
}

function start() {
  const runs = [...new Set(index.flatMap(([, , , , found]) => Object.keys(found)))];
  const patients = [...new Set(index.map(([, , patient]) => patient))].sort();
  const filters = document.querySelector("#filters");
  filters.append(choice("filter-run", "run", runs), choice("filter-patient", "patient", patients));
  filters.hidden = false;
  window.addEventListener("hashchange", follow);
  follow();
}
