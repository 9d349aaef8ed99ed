// One cluster in full: how it is and how one knows, what is off course field by field, and its line of time.

import { byId, fill, h, symbol } from "./dom.js";
import { clock, count, duration, iso, number, object, path, revision, shortened, value } from "./format.js";

const AGAIN_MS = 400; // facts come in flocks
const LONG = 240;
const CORRECTS = { yes: "A reconcile would put it back", no: "A reconcile would not put it back", unknown: "Whether a reconcile would put it back is not known" };
const LEFT = new Set(["refused", "observed", "deferred"]); // what the governor says of what it does nothing about
const DONE = new Set(["governor", "person", "command", "outcome"]);
const OPS = { add: "added", remove: "removed", replace: "changed" };

export class Panel {
  /** @param closed called when it was closed */
  constructor(fleet, closed) {
    this.fleet = fleet;
    this.closed = closed;
    this.root = byId("panel");
    this.name = null;
    addEventListener("keydown", (event) => event.key === "Escape" && event.target.type !== "search" && this.close());
  }

  /** Show a cluster. The focus goes to it, and back to where it came from when the panel is closed. */
  async open(name, from) {
    this.from = from;
    this.name = name;
    this.data = null;
    this.failed = "";
    document.body.classList.add("with-panel");
    this.root.hidden = false;
    this.render();
    byId("panel-title").focus({ preventScroll: true });
    await this.#load();
  }

  close() {
    if (this.name === null) return;
    this.name = null;
    document.body.classList.remove("with-panel");
    this.root.hidden = true;
    this.closed();
    this.from?.focus({ preventScroll: true });
  }

  /** Read it again soon: something about it changed. */
  stale() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#load(), AGAIN_MS);
  }

  async #load() {
    const { name } = this;
    if (name === null) return;
    let [data, failed] = [null, ""];
    try {
      const answer = await fetch(`/api/clusters/${encodeURIComponent(name)}`);
      if (answer.ok) data = await answer.json();
      else failed = answer.status === 404 ? "No such cluster is known (any more)." : `The server answered ${answer.status}.`;
    } catch {
      failed = "The server cannot be reached; what is shown is as old as the page says.";
    }
    if (name !== this.name) return;
    this.data = data ?? this.data;
    this.failed = failed;
    this.render();
  }

  render() {
    if (this.name === null) return;
    const cell = this.fleet.byName.get(this.name);
    const open = new Set([...this.root.querySelectorAll("details[open]")].map((each) => each.dataset.key));
    const focused = document.activeElement?.closest("#panel") ? document.activeElement.id || document.activeElement.dataset.key : null;
    const { scrollTop } = this.root;
    fill(this.root, this.#head(cell), this.failed ? h("p", { class: "failed", role: "alert" }, this.failed) : null, this.data ? this.#body(this.data) : this.failed ? null : h("p", { class: "faint" }, "Reading…"));
    for (const each of this.root.querySelectorAll("details")) each.open = open.has(each.dataset.key);
    if (focused) (document.getElementById(focused) ?? this.root.querySelector(`[data-key="${CSS.escape(focused)}"]`))?.focus({ preventScroll: true });
    this.root.scrollTop = scrollTop;
  }

  #head(cell) {
    const status = cell?.statusName ?? "unknown";
    return h(
      "header",
      null,
      h("button", { type: "button", class: "close", id: "panel-close", "aria-label": "Close", onclick: () => this.close() }, "✕"),
      h("p", { class: "where" }, cell ? [cell.region, cell.site].filter(Boolean).join(" / ") : ""),
      h("h2", { id: "panel-title", tabindex: "-1" }, this.name),
      h(
        "p",
        { class: "stand" },
        h("span", { class: `pill ${status}` }, symbol(status), status),
        cell?.drift ? h("span", { class: "pill drift" }, symbol("drift"), `${number(cell.drift)} off course`) : null,
        cell?.alerts ? h("span", { class: "pill" }, count(cell.alerts, "alert")) : null,
        h("span", { class: "faint" }, cell ? cell.evidence(this.fleet.now, duration) : "not on the map"),
      ),
    );
  }

  #body(data) {
    const open = data.findings.filter((finding) => finding.state === "open");
    const closed = data.findings.filter((finding) => finding.state !== "open");
    return [
      this.#health(data.health),
      h("section", null, h("h3", null, "Off course"), open.length ? open.map((finding) => this.#finding(finding, data)) : h("p", { class: "faint" }, this.#courseWords(data))),
      data.findings_omitted ? h("p", { class: "faint" }, `${number(data.findings_omitted)} more are not shown; abdrift drift list shows all.`) : null,
      this.#timeline(data),
      closed.length ? this.#folded("closed", `${count(closed.length, "finding")} closed of late`, closed.map((finding) => this.#finding(finding, data))) : null,
      data.owners.length ? this.#folded("owners", `${count(data.owners.length, "GitOps object")}`, this.#owners(data.owners)) : null,
      this.#about(data),
    ];
  }

  /** What to say where nothing is known to be off course: that is not the same as knowing that nothing is. */
  #courseWords(data) {
    const unknown = data.owners.filter((owner) => owner.verdict === "unknown").length;
    if (!data.owners.length) return "No verdict is known: nothing proves that it is on course.";
    return unknown ? `Nothing found, but of ${count(unknown, "GitOps object")} of ${number(data.owners.length)} it is not known.` : "Everything is at its baseline, as far as evidence reaches.";
  }

  #health(health) {
    if (!health) return h("section", null, h("h3", null, "Health"), h("p", { class: "faint" }, "No health fact has been seen: unknown."));
    const sources = health.evidence?.sources ?? [];
    const gaps = sources.filter((source) => !source.complete || (source.gap && !source.gap.until));
    return h(
      "section",
      null,
      h("h3", null, "Health"),
      health.reasons?.length
        ? h("ul", { class: "reasons" }, health.reasons.map((reason) => h("li", null, symbol(reason.status), h("span", null, h("strong", null, reason.code), " ", shortened(reason.message), reason.since ? h("span", { class: "faint" }, ` since ${clock(Date.parse(reason.since))}`) : null))))
        : h("p", null, `${health.status === "healthy" ? "Nothing speaks against it" : "No reason is told"}, since ${clock(Date.parse(health.since))}.`),
      h(
        "p",
        { class: "faint" },
        `Score ${number(health.score)} of 100. Evidence ${health.evidence?.complete ? "complete" : "incomplete"}`,
        health.evidence?.as_of ? `, as of ${clock(Date.parse(health.evidence.as_of))} (${duration(this.fleet.now - Date.parse(health.evidence.as_of))} old).` : ", of no known time.",
      ),
      gaps.length ? h("ul", { class: "faint gaps" }, gaps.map((source) => h("li", null, `${source.source}${source.what ? ` ${source.what}` : ""}: ${source.gap ? `gap since ${clock(Date.parse(source.gap.since))}, ${source.gap.reason}` : "not complete"}`))) : null,
    );
  }

  #finding(finding, data) {
    const opened = Date.parse(finding.times.changed_at ?? finding.times.opened_at);
    const closed = finding.times.closed_at ? Date.parse(finding.times.closed_at) : null;
    const done = data.timeline.filter((entry) => DONE.has(entry.kind) && entry.finding_ids?.includes(finding.finding_id));
    const facts = [
      finding.certainty === "suspect" ? "Suspected: no reconcile has proven a baseline yet." : null,
      finding.contested ? "Contested: another controller rightfully owns it too." : null,
      finding.held_until ? `Held by a person until ${clock(Date.parse(finding.held_until))}.` : null,
      finding.recurrences ? `Came back ${count(finding.recurrences, "time")} after it was corrected.` : null,
      closed === null ? corrects(finding) : null,
    ].filter(Boolean);
    return h(
      "article",
      { class: `finding ${finding.state}` },
      h("h4", null, h("span", { class: "kind" }, finding.kind), " ", object(finding.object)),
      h("p", { class: "message" }, shortened(finding.message)),
      finding.desired ? this.#commit(finding.desired) : null,
      finding.fields?.length ? h("div", { class: "diff" }, finding.fields.map((field) => this.#field(field)), finding.fields_omitted ? h("p", { class: "faint" }, `and ${count(finding.fields_omitted, "more field", "more fields")}`) : null) : null,
      h(
        "p",
        { class: "meta" },
        closed === null ? "since " : "from ",
        h("time", { datetime: iso(opened) }, clock(opened)),
        ` · ${duration((closed ?? this.fleet.now) - opened)}`,
        closed === null ? "" : ` · ${finding.closed_because ?? "closed"}`,
        finding.managers?.length ? [" · by ", h("strong", null, finding.managers.join(", "))] : null,
        finding.owner && object(finding.owner) !== object(finding.object) ? ` · of ${object(finding.owner)}` : null,
      ),
      facts.length ? h("p", { class: "faint" }, facts.join(" ")) : null,
      this.#done(done, closed === null),
    );
  }

  #commit(commit) {
    return h("p", { class: "commit" }, "wants ", h("code", null, revision(commit.revision)), commit.message ? [" ", h("q", null, commit.message)] : null, commit.author ? [" by ", h("strong", null, commit.author)] : null);
  }

  #field(field) {
    const was = field.old_known === false ? null : field.op === "add" ? undefined : field.old;
    const by = field.by;
    return h(
      "div",
      { class: "field" },
      h("p", { class: "path" }, h("code", null, path(field.path)), h("span", { class: "faint" }, ` ${OPS[field.op] ?? field.op}`), by ? h("span", { class: "faint" }, ` by ${by.manager}${by.operation ? ` (${by.operation})` : ""}${by.time ? ` at ${clock(Date.parse(by.time))}` : ""}`) : h("span", { class: "faint" }, " by nobody who left a trace")),
      field.op === "add" ? null : h("p", { class: "old" }, h("span", { class: "hidden" }, "was "), was === null ? h("em", null, "not known") : this.#value(was)),
      field.op === "remove" ? null : h("p", { class: "new" }, h("span", { class: "hidden" }, "is "), this.#value(field.new)),
    );
  }

  #value(found) {
    const text = value(found);
    return h("code", text.length > LONG ? { title: text.slice(0, 4000) } : null, text.length > LONG ? `${text.slice(0, LONG)}…` : text);
  }

  #timeline(data) {
    return h(
      "section",
      null,
      h("h3", null, "Timeline"),
      data.timeline.length
        ? h("ol", { class: "timeline" }, data.timeline.map((entry) => this.#entry(entry)))
        : h("p", { class: "faint" }, "Nothing is known to have happened."),
      data.timeline_omitted ? h("p", { class: "faint" }, `${count(data.timeline_omitted, "older entry", "older entries")}: abdrift timeline ${data.name}`) : null,
    );
  }

  #entry(entry) {
    const at = Date.parse(entry.at);
    return h(
      "li",
      { class: `entry ${entry.tone}` },
      h("time", { datetime: entry.at }, clock(at)),
      h("span", { class: "kind" }, entry.kind),
      h("span", { class: "text" }, shortened(entry.text), entry.details?.length ? h("span", { class: "faint details" }, entry.details.map((line) => h("span", null, shortened(line)))) : null),
    );
  }

  #done(done, isOpen) {
    if (!done.length) return isOpen ? h("p", { class: "done faint" }, "Nothing was done about it yet.") : null;
    const told = done.slice(0, 3).map((entry, place) => [place ? "; " : "", `${shortened(entry.text)} (${clock(Date.parse(entry.at))})`]);
    return h("p", { class: "done" }, h("strong", null, done.every((entry) => LEFT.has(entry.what)) ? "Nothing done: " : "Done: "), told);
  }

  #owners(owners) {
    const sorted = [...owners].sort((one, other) => (one.verdict === "in-sync") - (other.verdict === "in-sync"));
    return h(
      "ul",
      { class: "owners" },
      sorted.map((owner) =>
        h(
          "li",
          null,
          h("strong", null, object(owner.owner)),
          " ",
          h("span", { class: `verdict ${owner.verdict}` }, owner.verdict),
          h("span", { class: "faint" }, ` ${number(owner.proven ?? 0)} of ${count(owner.objects ?? 0, "object")} proven`, owner.suspended ? ", suspended" : "", owner.ready === false ? ", not ready" : "", owner.applied_revision ? `, at ${revision(owner.applied_revision)}` : "", owner.reasons?.length ? `: ${shortened(owner.reasons.join("; "))}` : ""),
        ),
      ),
    );
  }

  #about(data) {
    const inventory = data.inventory ?? {};
    const labels = Object.entries(inventory.labels ?? {});
    const rows = [
      ["Kubernetes", inventory.kubernetes_version],
      ["UID", inventory.cluster?.uid],
      ["Inventory", data.inventory ? (inventory.declared ? "declared" : "known by its agent only") : "not in the inventory"],
      ["Git", (inventory.git_sources ?? []).map((source) => `${source.url} ${source.ref}`).join(", ")],
      ["Objects", inventory.inventoried_objects ? number(inventory.inventoried_objects) : null],
    ].filter(([, text]) => text);
    return this.#folded("about", "About this cluster", [
      labels.length ? h("ul", { class: "labels" }, labels.map(([key, text]) => h("li", null, `${key}=${text}`))) : null,
      h("dl", null, rows.map(([name, text]) => [h("dt", null, name), h("dd", null, text)])),
    ]);
  }

  #folded(key, title, content) {
    return h("details", { dataset: { key } }, h("summary", { dataset: { key: `${key}-summary` } }, title), content);
  }
}

/** Return whether a reconcile would help, with the reason where one is given. */
function corrects(finding) {
  const why = finding.reconcile_corrects_reason;
  return `${CORRECTS[finding.reconcile_corrects]}${why ? `: ${shortened(why)}` : ""}.`;
}
