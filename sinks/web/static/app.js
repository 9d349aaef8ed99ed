// Wires the page together: what the stream tells goes to the model, and from there to whatever shows it.

import { byId, fill, h, say, symbol } from "./dom.js";
import { clock, count, duration, number } from "./format.js";
import { Incidents } from "./incidents.js";
import { FleetMap } from "./map.js";
import { Filter, Fleet, STATUSES } from "./model.js";
import { Panel } from "./panel.js";
import { Stream } from "./stream.js";
import { Table } from "./table.js";

const ANNOUNCE_MS = 8_000; // a screen reader is told of changes at most so often
const TABLE_MS = 1_000;
const COUNT_MS = 250;
const STALE_MS = 5 * 60_000; // as abdrift/fleetstate.py

export const fleet = new Fleet();
const open = (cell, from) => {
  address({ cluster: cell.name });
  panel.open(cell.name, from);
};
export const map = new FleetMap(byId("map"), fleet, open);
const table = new Table(byId("table"), fleet, open);
const panel = new Panel(fleet, () => address({ cluster: null }));
const incidents = new Incidents(fleet, (incident) => {
  wanted.members = incident ? new Set(incident.members) : null;
  address({ incident: incident?.id ?? null });
  filter();
});

const wanted = { words: "", statuses: new Set(), drifted: false, members: null };
const news = new Map(); // status -> names of clusters that took it on since the last announcement
let connection = "waiting";
let chips = [];

function take(batch) {
  const [phase] = fleet.reading;
  const changed = fleet.apply(batch);
  if (changed.isMoved) {
    for (const cell of fleet.cells.values()) cell.isShown = current.matches(cell);
    map.later(() => map.rebuild());
  } else {
    for (const cell of changed.cells) cell.isShown = current.matches(cell);
    map.changed(changed.cells);
  }
  if (changed.incidents || phase !== fleet.reading[0]) incidents.render();
  for (const [cell] of changed.transitions) if (!batch.whole) told(cell);
  if (panel.name !== null && (batch.whole || changed.heard.has(panel.name))) panel.stale();
  if (batch.whole) recount();
  else soon("count", recount, COUNT_MS);
  if (!byId("table").hidden) soon("table", () => table.render(), TABLE_MS);
  banner();
}

// Saying how things stand ----------------------------------------------------------------------------------------

const waiting = new Set();

/** Do something a little later, once for all who ask for it until then. */
function soon(what, work, ms) {
  if (waiting.has(what)) return;
  waiting.add(what);
  setTimeout(() => {
    waiting.delete(what);
    work();
  }, ms);
}

function recount() {
  const total = fleet.cells.size;
  const [phase] = fleet.reading;
  if (phase === "reading" && !total) say(byId("headline"), "Reading the fleet's state…");
  else if (!total) say(byId("headline"), "No cluster is known yet");
  else say(byId("headline"), `${number(fleet.counts[0])} of ${count(total, "cluster")} healthy, ${number(fleet.drifted)} off course`);
  document.title = total ? `${number(total - fleet.counts[0])} not healthy, ${number(fleet.drifted)} off course · Abdrift` : "Abdrift: the fleet";
  for (const chip of chips) say(chip.number, number(chip.count()));
  map.recount();
  const shown = current.isEmpty ? 0 : [...fleet.cells.values()].filter((cell) => cell.isShown).length;
  say(byId("matches"), current.isEmpty ? "" : `${number(shown)} of ${number(total)} shown`);
  stand();
}

function stand() {
  const box = byId("connection");
  const [phase] = fleet.reading;
  const age = fleet.newest ? fleet.now - fleet.newest : null;
  const isStale = age !== null && age > STALE_MS;
  const state = connection !== "live" ? connection : phase !== "live" ? phase : isStale ? "stale" : "live";
  box.dataset.state = state;
  const newest = age === null ? "no fact yet" : `newest fact ${duration(age)} ago`;
  const words = { live: `live · ${newest}`, waiting: "connecting", lost: `connection lost · ${newest}`, reading: "reading state", stale: `silent · ${newest}` };
  say(byId("connection-text"), words[state]);
  document.body.classList.toggle("is-stale", state === "lost" || state === "stale");
}

function banner() {
  const [phase, left, total, since] = fleet.reading;
  const progress = byId("progress");
  progress.hidden = phase !== "reading";
  progress.value = total ? (total - left) / total : 0;
  const age = fleet.newest ? fleet.now - fleet.newest : 0;
  let text = "";
  if (connection === "lost") text = `No connection to the server: what is shown is as of ${clock(fleet.now - (Date.now() - lostAt))}. Trying again.`;
  else if (phase === "lost") text = `The server has no connection to Kafka since ${clock(since)}: what is shown is that old. Unknown is not healthy.`;
  else if (phase === "reading") text = `State is still being read from Kafka: ${number(total - left)} of ${number(total)} records. What is shown is not complete.`;
  else if (age > STALE_MS) text = `No fact about any cluster for ${duration(age)}: nobody tells how they are. Unknown is not healthy.`;
  else if (fleet.breaker) text = `The breaker is open since ${clock(fleet.breaker.since)}, nothing is commanded${fleet.breaker.by ? `: frozen by ${fleet.breaker.by}` : ""}. ${fleet.breaker.why.join("; ")}`;
  const box = byId("banner");
  box.hidden = !text;
  box.dataset.kind = connection === "live" && phase === "live" && age <= STALE_MS ? "note" : "warning";
  say(box, text);
}

/** Remember a change of status, and tell of all such changes together now and then. */
function told(cell) {
  if (!news.size) setTimeout(announce, ANNOUNCE_MS);
  for (const names of news.values()) names.delete(cell.name);
  if (!news.has(cell.statusName)) news.set(cell.statusName, new Set());
  news.get(cell.statusName).add(cell.name);
}

function announce() {
  const parts = [...news].filter(([, names]) => names.size).map(([status, names]) => (names.size === 1 ? `${[...names][0]} is ${status}` : `${number(names.size)} clusters became ${status}`));
  news.clear();
  const many = fleet.listed().filter((incident) => incident.open).length;
  if (parts.length) say(byId("live"), `${parts.join(", ")}. ${many ? count(many, "open incident") : "No open incident"}.`);
}

// Filters and views ----------------------------------------------------------------------------------------------

let current = new Filter();

function filter() {
  current = new Filter({ ...wanted, statuses: [...wanted.statuses] });
  for (const cell of fleet.cells.values()) cell.isShown = current.matches(cell);
  for (const chip of chips) chip.button.setAttribute("aria-pressed", chip.isOn());
  map.redraw();
  table.page = 0;
  table.render();
  recount();
  address({ q: wanted.words || null, is: [...wanted.statuses].map((status) => STATUSES[status]).concat(wanted.drifted ? "drifted" : []).join(",") || null });
}

function buildChips() {
  const made = STATUSES.map((name, status) => ({
    name,
    title: name,
    count: () => fleet.counts[status],
    isOn: () => wanted.statuses.has(status),
    turn: () => (wanted.statuses.has(status) ? wanted.statuses.delete(status) : wanted.statuses.add(status)),
  }));
  made.push({ name: "drift", title: "off course", count: () => fleet.drifted, isOn: () => wanted.drifted, turn: () => (wanted.drifted = !wanted.drifted) });
  chips = made.map((chip) => {
    const figure = h("strong", null, "0");
    const turn = () => {
      chip.turn();
      filter();
    };
    return { ...chip, number: figure, button: h("button", { type: "button", class: `chip ${chip.name}`, "aria-pressed": "false", onclick: turn }, symbol(chip.name), figure, ` ${chip.title}`) };
  });
  fill(byId("chips"), chips.map((chip) => chip.button));
}

function view(isTable) {
  byId("as-map").setAttribute("aria-pressed", !isTable);
  byId("as-table").setAttribute("aria-pressed", isTable);
  byId("map").hidden = byId("map-keys").hidden = isTable;
  byId("table").hidden = !isTable;
  if (isTable) table.render();
  else map.rebuild();
  address({ view: isTable ? "table" : null });
}

// The address says what is shown, so that it can be passed on -------------------------------------------------------

function address(changes) {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const [name, text] of Object.entries(changes)) {
    if (text) said.set(name, text);
    else said.delete(name);
  }
  history.replaceState(null, "", said.size ? `#${said}` : location.pathname);
}

function fromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  wanted.words = said.get("q") ?? "";
  byId("search").value = wanted.words;
  const is = (said.get("is") ?? "").split(",");
  wanted.statuses = new Set(STATUSES.flatMap((status, place) => (is.includes(status) ? [place] : [])));
  wanted.drifted = is.includes("drifted");
  filter();
  view(said.get("view") === "table");
  incidents.want(said.get("incident"));
  const cluster = said.get("cluster");
  if (cluster && cluster !== panel.name) {
    address({ cluster });
    panel.open(cluster, byId("search"));
  }
}

// Start ------------------------------------------------------------------------------------------------------------

let lostAt = Date.now();
const stream = new Stream(take, (state) => {
  if (state === connection) return;
  if (state === "lost") lostAt = Date.now();
  connection = state;
  stand();
  banner();
});

buildChips();
byId("search").addEventListener("input", (event) => {
  wanted.words = event.target.value;
  filter();
});
byId("as-map").addEventListener("click", () => view(false));
byId("as-table").addEventListener("click", () => view(true));
addEventListener("hashchange", fromAddress);
setInterval(() => {
  stand();
  banner();
}, 1000);
fromAddress();
stream.rest();
stream.start();
