// Incidents: one cause each, its blast radius, and a way to see its members on the map.

import { byId, fill, h } from "./dom.js";
import { clock, count, duration, iso, number, revision, shortened } from "./format.js";

const SHOWN = 3;
const SITES_SHOWN = 6;
const CAUSES = {
  "git-revision": "Git revision",
  "chart-version": "chart",
  site: "site",
  dependency: "dependency",
  "node-pool": "node pool",
};

export class Incidents {
  /** @param show called with an incident whose members are to be seen, or null for none */
  constructor(fleet, show) {
    this.fleet = fleet;
    this.show = show;
    this.root = byId("incidents-list");
    this.isLong = false;
    this.shown = null;
    this.chosen = null;
    this.wanted = null; // id of an incident that the address names, until it is known
    byId("incidents-more").addEventListener("click", () => {
      this.isLong = !this.isLong;
      this.render();
    });
  }

  render() {
    const all = this.fleet.listed();
    const open = all.filter((incident) => incident.open);
    const title = byId("incidents-title");
    const isRead = this.fleet.isWhole && this.fleet.reading[0] !== "reading";
    title.textContent = open.length ? count(open.length, "open incident") : isRead ? "No open incident" : "Incidents";
    byId("incidents").classList.toggle("none", !open.length);
    const found = this.fleet.incidents.get(this.wanted);
    if (found) {
      this.wanted = null;
      this.isLong ||= !found.open;
      this.choose(found);
      return;
    }
    const chosen = this.fleet.incidents.get(this.chosen);
    if (this.chosen && !chosen) this.choose(null);
    else if (chosen && chosen !== this.shown) this.show((this.shown = chosen)); // its members may be others now
    const focused = document.activeElement?.dataset?.incident;
    const shown = this.isLong ? all : open.slice(0, SHOWN);
    const rest = all.length - shown.length;
    fill(this.root, shown.length ? h("ul", { class: "cards" }, shown.map((incident) => this.#card(incident))) : null);
    this.#more(rest, Math.max(0, open.length - shown.length));
    if (focused) this.root.querySelector(`[data-incident="${CSS.escape(focused)}"]`)?.focus();
  }

  choose(incident) {
    this.chosen = incident?.id ?? null;
    this.shown = incident;
    this.show(incident);
    this.render();
  }

  /** Choose an incident by its id as soon as it is known. */
  want(id) {
    if (id === this.chosen) return;
    this.wanted = id;
    if (id) this.render();
    else this.choose(null);
  }

  #more(rest, openRest) {
    const button = byId("incidents-more");
    const closed = rest - openRest;
    const parts = [openRest ? `${number(openRest)} more open` : null, closed ? count(closed, "closed incident") : null].filter(Boolean);
    button.hidden = !rest && !this.isLong;
    button.textContent = this.isLong ? "Show fewer" : `Show ${parts.join(", ")}`;
  }

  #card(incident) {
    const isChosen = this.chosen === incident.id;
    const { cause, radius } = incident;
    const reached = incident.open ? radius.clusters : radius.clusters_ever;
    const lasted = (incident.closed ?? this.fleet.now) - incident.opened;
    return h(
      "li",
      { class: `incident ${incident.open ? "open" : "closed"}` },
      h("p", { class: "reach" }, h("strong", null, number(reached)), h("span", null, `${reached === 1 ? "cluster" : "clusters"} ${incident.open ? "now" : "then"}`)),
      h(
        "div",
        { class: "why" },
        h("h3", null, shortened(incident.title)),
        this.#cause(cause),
        h(
          "p",
          { class: "meta" },
          incident.open ? "open since " : "closed, from ",
          h("time", { datetime: iso(incident.opened) }, clock(incident.opened)),
          ` · ${duration(lasted)}`,
          incident.because ? ` · ${incident.because}` : "",
          this.#sites(radius),
          this.#outcomes(incident.outcomes),
        ),
      ),
      h(
        "button",
        { type: "button", class: "see", "aria-pressed": isChosen, dataset: { incident: incident.id }, onclick: () => this.choose(isChosen ? null : incident) },
        isChosen ? "Show all clusters" : "Show on map",
        h("span", { class: "hidden" }, `: ${incident.title}`),
      ),
    );
  }

  #cause(cause) {
    const { commit } = cause;
    return h(
      "p",
      { class: "cause" },
      h("span", { class: "kind" }, CAUSES[cause.kind] ?? cause.kind),
      " ",
      h("code", null, revision(cause.name)),
      commit?.message ? [" ", h("q", null, commit.message)] : null,
      commit?.author ? [" by ", h("strong", null, commit.author)] : null,
      cause.source ? h("span", { class: "source" }, ` in ${cause.source}`) : null,
    );
  }

  #sites(radius) {
    const sites = Object.entries(radius.clusters_by_site ?? {}).sort(([, one], [, other]) => other - one);
    if (!sites.length) return null;
    const named = sites.slice(0, SITES_SHOWN).map(([site, clusters]) => `${site} ${number(clusters)}`).join(", ");
    const rest = sites.length - SITES_SHOWN;
    return ` · ${count(sites.length, "site")}: ${named}${rest > 0 ? ` and ${number(rest)} more` : ""}`;
  }

  #outcomes(outcomes) {
    const told = Object.entries(outcomes ?? {}).map(([result, many]) => `${number(many)} ${result}`);
    return told.length ? ` · commands: ${told.join(", ")}` : null;
  }
}
