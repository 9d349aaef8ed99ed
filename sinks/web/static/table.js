// The same clusters as a table, a page at a time: for screen readers, for copying, and for sorting.

import { fill, h, symbol } from "./dom.js";
import { count, duration, iso, number } from "./format.js";

const PAGE = 100;
const URGENCY = [3, 2, 0, 1]; // by status: failing first, then unknown, which may be worse than degraded
const COLUMNS = [
  { title: "Cluster", of: (cell) => cell.name },
  { title: "Status", of: (cell) => URGENCY[cell.status] },
  { title: "Off course", of: (cell) => -cell.drift },
  { title: "Alerts", of: (cell) => -cell.alerts },
  { title: "Region", of: (cell) => cell.region },
  { title: "Site", of: (cell) => cell.site },
  { title: "Status since", of: (cell) => -cell.since },
  { title: "Last seen", of: (cell) => cell.seen },
];

export class Table {
  constructor(root, fleet, open) {
    this.root = root;
    this.fleet = fleet;
    this.open = open;
    this.column = 1;
    this.isDown = true;
    this.page = 0;
  }

  render() {
    if (this.root.hidden) return;
    const { of } = COLUMNS[this.column];
    const inOrder = new Intl.Collator("en", { numeric: true });
    const compare = (one, other) => {
      const [a, b] = [of(one), of(other)];
      const by = typeof a === "string" ? inOrder.compare(a, b) : a - b;
      return (this.isDown ? by : -by) || inOrder.compare(one.name, other.name);
    };
    const cells = [...this.fleet.cells.values()].filter((cell) => cell.isShown).sort(compare);
    const pages = Math.max(1, Math.ceil(cells.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    const shown = cells.slice(this.page * PAGE, (this.page + 1) * PAGE);
    const focused = document.activeElement?.dataset?.key;
    fill(
      this.root,
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Clusters as a table" },
        h(
          "table",
          null,
          h("caption", null, `${count(cells.length, "cluster")}, ${number(this.page * PAGE + 1)} to ${number(this.page * PAGE + shown.length)} shown`),
          h("thead", null, h("tr", null, COLUMNS.map((column, place) => this.#head(column, place)))),
          h("tbody", null, shown.map((cell) => this.#row(cell))),
        ),
      ),
      this.#pager(pages),
    );
    if (focused) this.root.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  #head(column, place) {
    const isSorted = place === this.column;
    const sort = () => {
      this.isDown = isSorted ? !this.isDown : true;
      this.column = place;
      this.page = 0;
      this.render();
    };
    return h(
      "th",
      { scope: "col", "aria-sort": isSorted ? (this.isDown ? "descending" : "ascending") : null },
      h("button", { type: "button", dataset: { key: `sort-${place}` }, onclick: sort }, column.title, isSorted ? h("span", { "aria-hidden": "true" }, this.isDown ? " ▾" : " ▴") : null),
    );
  }

  #row(cell) {
    const now = this.fleet.now;
    const ago = (seconds) => (seconds ? h("time", { datetime: iso(seconds * 1000) }, `${duration(now - seconds * 1000)}`) : "never");
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, h("button", { type: "button", class: "link", dataset: { key: `cluster-${cell.name}` }, onclick: (event) => this.open(cell, event.currentTarget) }, cell.name)),
      h("td", { class: "status" }, symbol(cell.statusName), cell.statusName),
      h("td", { class: "figure" }, cell.drift ? [symbol("drift"), number(cell.drift)] : "0"),
      h("td", { class: "figure" }, number(cell.alerts)),
      h("td", null, cell.region),
      h("td", null, cell.site),
      h("td", null, cell.since ? [ago(cell.since)] : "unknown"),
      h("td", null, cell.seen ? [ago(cell.seen), " ago"] : "never"),
    );
  }

  #pager(pages) {
    if (pages < 2) return null;
    const turn = (by) => () => {
      this.page = Math.min(pages - 1, Math.max(0, this.page + by));
      this.render();
    };
    return h(
      "nav",
      { class: "pager", "aria-label": "Pages of the table" },
      h("button", { type: "button", dataset: { key: "before" }, disabled: this.page === 0, onclick: turn(-1) }, "Previous"),
      h("span", null, `page ${number(this.page + 1)} of ${number(pages)}`),
      h("button", { type: "button", dataset: { key: "after" }, disabled: this.page === pages - 1, onclick: turn(1) }, "Next"),
    );
  }
}
