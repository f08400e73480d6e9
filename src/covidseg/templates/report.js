// What the report's pages do beyond standing there: sorting, views of numbers, how a number was made, search, colours.
"use strict";

const beside = document.body.dataset.beside;
let covidsegMade = null; // set by a paper's script

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// ---- colours and search, in the bar

const SCHEMES = ["auto", "light", "dark"];

function remembered(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* pages from files may not store */ }
}

function colours(scheme) {
  if (scheme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = scheme;
}

let entries = null;
let waiting = null;
window.covidsegFound = (found) => { entries = found; if (waiting) waiting(); };

function search(box, list) {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  list.replaceChildren();
  list.hidden = !words.length;
  if (!words.length) return;
  if (!entries) {
    waiting = () => search(box, list);
    if (!document.querySelector("script[data-search]")) {
      document.head.append(element("script", { src: `${beside}search.js`, "data-search": true }));
    }
    return;
  }
  const hits = entries.filter(([what, text]) => words.every((word) => `${what} ${text}`.toLowerCase().includes(word)));
  for (const [what, text, link] of hits.slice(0, 40)) {
    list.append(element("li", {}, element("a", { href: beside + link }, element("small", {}, what), text)));
  }
  if (!hits.length) list.append(element("li", {}, element("a", { href: "#content" }, "nothing found")));
}

function bar() {
  const scheme = element("button", { type: "button", title: "Colours: as the system, light, dark" });
  const show = (value) => { colours(value); scheme.textContent = value; scheme.setAttribute("aria-label", `Colours: ${value}`); };
  scheme.addEventListener("click", () => {
    const next = SCHEMES[(SCHEMES.indexOf(scheme.textContent) + 1) % SCHEMES.length];
    remember("covidseg-colours", next);
    show(next);
  });
  show(SCHEMES.includes(remembered("covidseg-colours")) ? remembered("covidseg-colours") : "auto");
  const list = element("ul", { class: "found", hidden: true });
  const box = element("input", { type: "search", placeholder: "Search ( / )", "aria-label": "Search the report" });
  box.addEventListener("input", () => search(box, list));
  const place = element("div", { class: "search" }, box, list);
  place.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") { box.value = ""; list.hidden = true; box.focus(); }
    else if (event.key === "ArrowDown" && links.length) { links[Math.min(at + 1, links.length - 1)].focus(); event.preventDefault(); }
    else if (event.key === "ArrowUp" && at >= 0) { (links[at - 1] || box).focus(); event.preventDefault(); }
    else if (event.key === "Enter" && event.target === box && links.length) links[0].click();
  });
  list.addEventListener("click", () => { list.hidden = true; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { box.focus(); event.preventDefault(); }
  });
  document.querySelector(".bar").append(place, scheme);
}

// ---- tables

function valueOf(row, column, view) {
  const cell = row.cells[column];
  const key = { printed: "p", difference: "d" }[view] || "o";
  if (cell.dataset[key] !== undefined) return Number(cell.dataset[key]);
  if (cell.querySelector(".o")) return null;
  const text = cell.textContent.trim();
  const number = Number(text.replace(/^[<\s]+/, "").replace(/[,]/g, "").replace("−", "-").split(/\s/)[0]);
  return text === "–" || text === "" ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sort(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column, table.dataset.view), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : (up ? 1 : -1) * compare(a, b)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function sortable(table) {
  if (table.querySelector("td[colspan]")) return;
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.dataset.sorts = "";
    cell.tabIndex = 0;
    cell.setAttribute("aria-sort", "none");
    cell.title = "Sort by this column";
    cell.addEventListener("click", () => sort(table, column));
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { sort(table, column); event.preventDefault(); }
    });
  });
  for (const row of table.tBodies[0].rows) { // a label that stands once for several classes has to move with each
    const label = row.cells[0];
    if (!label.textContent && row.previousElementSibling) label.textContent = row.previousElementSibling.cells[0].textContent;
  }
}

const VIEWS = { all: "All", printed: "Printed", ours: "Ours", difference: "Difference" };

function views(table) {
  const tools = element("div", { class: "tools", role: "group", "aria-label": "What the cells show" });
  for (const [view, words] of Object.entries(VIEWS)) {
    const button = element("button", { type: "button", "aria-pressed": String(view === "all") }, words);
    button.addEventListener("click", () => {
      table.dataset.view = view;
      for (const other of tools.children) other.setAttribute("aria-pressed", String(other === button));
    });
    tools.append(button);
  }
  table.closest(".wide").before(tools);
}

// ---- how a number was made

function opened(cell) {
  const row = cell.closest("tr");
  const table = cell.closest("table");
  const section = cell.closest("[data-table]");
  const paper = cell.closest("[data-paper]").dataset.paper;
  const name = section.dataset.table;
  const column = table.tHead.rows[0].cells[cell.cellIndex];
  const label = row.cells[0].textContent;
  const text = (selector) => (cell.querySelector(selector) || { textContent: "–" }).textContent;
  const about = element("dl", { class: "about" });
  const add = (heading, ...words) => about.append(element("dt", {}, heading), element("dd", {}, ...words));
  add("Ours", text(".o"));
  add("Printed", text(".p"));
  add("Difference", text(".d"));
  const sign = cell.querySelector(".sign");
  const why = section.querySelectorAll(".whys li")[Number(cell.dataset.why) - 1];
  add("Verdict", (sign ? sign.title || sign.getAttribute("aria-label") : "nothing printed") + (why ? `: ${why.textContent}` : ""));
  const run = covidsegMade && covidsegMade.runs[row.dataset.run];
  const words = covidsegMade && (covidsegMade.words[name] || {})[label];
  const metric = column.dataset.metric;
  const body = [element("h2", {}, `${paper}, table ${name}: ${label}, ${column.textContent}`), about];
  if (words) {
    for (const line of words) body.push(element("p", {}, line));
  } else if (run && metric === "parameters") {
    add("Counted on", `the network as the paper describes it: ${run.net}`);
  } else if (run) {
    const means = ((run.means[table.dataset.protocol] || {})[row.dataset.class || "average"] || {})[metric] || [];
    const seeds = new Set(run.jobs.map((job) => job.seed)).size;
    add("Mean of", `${metric} over ${cell.dataset.n} slices or scans and ${seeds} ${seeds === 1 ? "seed" : "seeds"}, protocol ${table.dataset.protocol}${row.dataset.class ? `, class ${row.dataset.class}` : ""}`);
    add("Cases", element("code", {}, run.cases));
    add("Scored by", element("code", {}, run.score));
    const trainings = element("tbody");
    run.jobs.forEach((job, k) => {
      const mean = means[k] === null || means[k] === undefined ? "–" : means[k].toFixed(4);
      trainings.append(element("tr", {}, element("td", {}, String(job.fold)), element("td", {}, String(job.seed)), element("td", {}, mean),
        element("td", { class: "words" }, element("code", {}, job.record), element("br"), element("code", {}, job.command))));
    });
    const head = ["fold", "seed", "mean", "record, and the command that made it"].map((t, k) => element("th", { scope: "col", class: k === 3 ? "words" : false }, t));
    body.push(element("div", { class: "wide" }, element("table", {}, element("thead", {}, element("tr", {}, ...head)), trainings)));
    body.push(element("p", {}, element("a", { href: `cases.html#run=${row.dataset.run}` }, "Its masks, the worst case first"), ", ",
      element("a", { href: `runs.html#${row.dataset.run.replace(/[^A-Za-z0-9_.-]+/g, "-")}` }, "its learning curves")));
  }
  body.push(element("p", {}, element("code", {}, `covidseg trace ${paper}/${name} '${label}${table.querySelector("th.name") && row.dataset.class ? `:${row.dataset.class}` : ""}' '${column.textContent}'`)));
  const dialog = element("dialog", { "aria-label": "How this number was made" }, ...body);
  dialog.append(element("p", {}, element("button", { type: "button", onclick: () => dialog.close() }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

function explainable(table) {
  if (!table.closest("[data-paper]")) return;
  for (const cell of table.querySelectorAll("td[data-o]")) {
    const number = cell.querySelector(".o");
    number.dataset.open = "";
    number.tabIndex = 0;
    number.setAttribute("role", "button");
    number.title = "How this number was made";
    cell.addEventListener("click", () => opened(cell));
    number.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { opened(cell); event.preventDefault(); }
    });
  }
}

// ---- deep links

function arrive() {
  for (const hit of document.querySelectorAll(".hit")) hit.classList.remove("hit");
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* as it is */ }
  const target = name && document.getElementById(name);
  if (!target) return;
  for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  const table = target.closest("table");
  if (table && target.tagName === "TD") {
    const group = [...target.classList].find((kind) => kind.startsWith("v-"));
    for (const cell of table.querySelectorAll(`td.${group}`)) cell.classList.add("hit");
  }
  const start = target.tagName === "TABLE" ? (target.closest("section") || target) : target; // with its heading
  start.scrollIntoView({ block: target.tagName === "TD" || target.tagName === "TR" ? "center" : "start" });
}

bar();
for (const table of document.querySelectorAll("table.numbers, table.plain, table.board")) sortable(table);
for (const table of document.querySelectorAll("table.numbers")) {
  if (table.dataset.view) views(table);
  explainable(table);
}
window.addEventListener("hashchange", arrive);
window.addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
arrive();
