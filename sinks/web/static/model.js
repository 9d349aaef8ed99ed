// The fleet as this page knows it: cells by number, counted by status, and incidents. Knows nothing of the screen.

export const STATUSES = ["healthy", "degraded", "failing", "unknown"];
export const NOWHERE = "elsewhere";

/** The columns of a cell's row, as sinks/web/model.py writes them. */
const CELL = { status: 1, drift: 2, alerts: 3, seen: 4, since: 5, flags: 6 };
const TOLD = 1;
const COMPLETE = 2;
const SILENT = 4;

export class Cell {
  constructor(number, name, labels) {
    this.number = number;
    this.name = name;
    this.status = 3;
    this.drift = 0;
    this.alerts = 0;
    this.seen = 0;
    this.since = 0;
    this.flags = 0;
    this.isShown = true;
    this.describe(labels);
  }

  describe(labels) {
    this.labels = labels;
    this.region = labels.region || NOWHERE;
    this.site = labels.site || "";
    this.text = [this.name, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)].join(" ").toLowerCase();
  }

  get statusName() {
    return STATUSES[this.status];
  }

  /** Whether somebody should look at it. */
  get needsAttention() {
    return this.status !== 0 || this.drift > 0;
  }

  /** What is known of it in one sentence, for who cannot see the map and for who asks. */
  story(now, duration) {
    const parts = [this.name, this.site && `site ${this.site}`, `region ${this.region}`, this.statusName];
    if (this.drift) parts.push(`${this.drift} off course`);
    if (this.alerts) parts.push(`${this.alerts} ${this.alerts === 1 ? "alert" : "alerts"}`);
    parts.push(this.evidence(now, duration));
    return parts.filter(Boolean).join(", ");
  }

  /** How old what is known of it is. */
  evidence(now, duration) {
    if (!this.seen) return this.flags & TOLD ? "never heard of" : "nothing known yet";
    const seen = `last seen ${duration(now - this.seen * 1000)} ago`;
    if (this.flags & SILENT) return `silent, ${seen}`;
    return this.flags & COMPLETE ? seen : `${seen}, evidence incomplete`;
  }
}

export class Fleet {
  constructor() {
    this.known = "";
    this.isWhole = false;
    this.newest = 0;
    this.reading = ["reading", 0, 0, 0];
    this.breaker = null;
    this.unreadable = 0;
    this.skew = 0;
    this.#clear();
  }

  #clear() {
    this.cells = new Map();
    this.byName = new Map();
    this.incidents = new Map();
    this.counts = [0, 0, 0, 0];
    this.drifted = 0;
  }

  /** The server's time in milliseconds, whatever this machine's clock says. */
  get now() {
    return Date.now() + this.skew;
  }

  /** Take a batch in; return the cells that look different, and whether cells came, went or moved, or incidents changed. */
  apply(batch) {
    const changed = { cells: [], transitions: [], heard: new Set(), isMoved: false, incidents: false };
    if (batch.whole) {
      this.#clear();
      changed.isMoved = changed.incidents = true;
    }
    for (const gone of batch.gone ?? []) this.#forget(gone, changed);
    for (const [number, name, labels] of batch.about ?? []) this.#describe(number, name, labels, changed);
    for (const row of batch.cells ?? []) this.#update(row, changed);
    for (const incident of batch.incidents ?? []) {
      this.incidents.set(incident.id, incident);
      changed.incidents = true;
    }
    this.known = `${batch.epoch}-${batch.version}`;
    this.isWhole = true;
    this.skew = batch.now - Date.now();
    this.newest = batch.newest;
    this.reading = batch.reading;
    this.breaker = batch.breaker ?? null;
    this.unreadable = batch.unreadable;
    return changed;
  }

  #forget(gone, changed) {
    const [what, name] = [gone.slice(0, gone.indexOf("/")), gone.slice(gone.indexOf("/") + 1)];
    if (what === "incident") {
      changed.incidents = this.incidents.delete(name) || changed.incidents;
      return;
    }
    const cell = this.byName.get(name);
    if (!cell) return;
    this.#count(cell, -1);
    this.cells.delete(cell.number);
    this.byName.delete(name);
    changed.isMoved = true;
    changed.heard.add(name);
  }

  #describe(number, name, labels, changed) {
    const cell = this.cells.get(number);
    changed.isMoved = true;
    if (cell) {
      cell.describe(labels);
      return;
    }
    const made = new Cell(number, name, labels);
    this.cells.set(number, made);
    this.byName.set(name, made);
    this.#count(made, 1);
  }

  #update(row, changed) {
    const cell = this.cells.get(row[0]);
    if (!cell) return;
    const looked = [cell.status, cell.drift > 0];
    const was = cell.statusName;
    this.#count(cell, -1);
    for (const [name, column] of Object.entries(CELL)) cell[name] = row[column];
    this.#count(cell, 1);
    changed.heard.add(cell.name);
    if (looked[0] !== cell.status || looked[1] !== cell.drift > 0) changed.cells.push(cell);
    if (looked[0] !== cell.status) changed.transitions.push([cell, was]);
  }

  #count(cell, by) {
    this.counts[cell.status] += by;
    this.drifted += cell.drift > 0 ? by : 0;
  }

  /** Cells by region and site, each in the order of their names. */
  grouped() {
    const regions = new Map();
    for (const cell of this.cells.values()) {
      let sites = regions.get(cell.region);
      if (!sites) regions.set(cell.region, (sites = new Map()));
      const cells = sites.get(cell.site);
      if (cells) cells.push(cell);
      else sites.set(cell.site, [cell]);
    }
    const inOrder = new Intl.Collator("en", { numeric: true });
    const sorted = (map) => [...map].sort(([one], [other]) => inOrder.compare(one, other));
    return sorted(regions).map(([name, sites]) => ({
      name,
      sites: sorted(sites).map(([site, cells]) => ({
        name: site,
        cells: cells.sort((one, other) => inOrder.compare(one.name, other.name)),
      })),
    }));
  }

  /** Incidents, the open ones first, then by how far they reach and by how new they are. */
  listed() {
    return [...this.incidents.values()].sort(
      (one, other) => other.open - one.open || other.radius.clusters - one.radius.clusters || other.opened - one.opened,
    );
  }
}

/** What is looked for: words that a cluster's name or labels hold, statuses of which one is enough, and drift. */
export class Filter {
  constructor({ words = "", statuses = [], drifted = false, members = null } = {}) {
    this.words = words.toLowerCase().replaceAll(":", "=").split(/\s+/).filter(Boolean);
    this.statuses = new Set(statuses);
    this.drifted = drifted;
    this.members = members;
  }

  get isEmpty() {
    return !this.words.length && !this.statuses.size && !this.drifted && !this.members;
  }

  matches(cell) {
    if (this.statuses.size && !this.statuses.has(cell.status)) return false;
    if (this.drifted && !cell.drift) return false;
    if (this.members && !this.members.has(cell.name)) return false;
    return this.words.every((word) => cell.text.includes(word) || cell.statusName === word);
  }
}
