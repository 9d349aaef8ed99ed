// The map: one card for each region, its cells on a canvas. Redraws the cells that changed, and no others.
//
// For the keyboard and for screen readers each region is a list box of its clusters. Only one of them is a stop of the
// Tab key; the arrows move within it and over to its neighbours. The option that stands for the cell with the focus is a
// real element over that cell; two take turns, since a reader tells of an option only when it is another one.

import { byId, fill, h, say, symbol } from "./dom.js";
import { count, duration, number } from "./format.js";
import { LABEL_PX, arrange } from "./layout.js";
import { Sprites, palette } from "./sprites.js";

const PULSE_MS = 700;
const PULSES_MOST = 400;
const RATIO_MOST = 2; // beyond it a canvas costs memory that no eye rewards
const LEAST_HEIGHT_PX = 240;
const ILL = { failing: "failing", degraded: "degraded", unknown: "unknown", drift: "off course" };
const NEAR_SCREEN = "300px"; // canvases further off than that give their memory back

/** What stands beside a region's name: symbols, as the chips above have them with their words, for there is little room. */
class Summary {
  constructor() {
    this.clusters = h("span");
    this.well = h("span", null, "all healthy");
    this.figures = Object.entries(ILL).map(([name, words]) => {
      const figure = h("span");
      return { name, figure, part: h("span", { class: "part", title: words }, symbol(name), figure, h("span", { class: "hidden" }, ` ${words}, `)) };
    });
    const parts = this.figures.map((each) => each.part);
    this.element = h("p", { class: "summary" }, this.clusters, parts, this.well);
  }

  /** @param counts how many clusters are how, by the names in ILL */
  tell(clusters, counts) {
    say(this.clusters, count(clusters, "cluster"));
    for (const { name, figure, part } of this.figures) {
      say(figure, number(counts[name]));
      part.hidden = !counts[name];
    }
    this.well.hidden = !clusters || Object.values(counts).some(Boolean);
  }
}

export class FleetMap {
  /** @param open called with a cell and what takes the focus back to it */
  constructor(root, fleet, open) {
    this.root = root;
    this.fleet = fleet;
    this.open = open;
    this.cards = [];
    this.places = new Map(); // cell number -> [card, x, y, block, index in its card]
    this.current = null; // number of the cell that has the focus, or had it last
    this.pulses = new Map();
    this.dirty = new Set();
    this.isMoving = false;
    this.isPictured = false;
    this.tip = byId("tip");
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.near = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: NEAR_SCREEN });
    new ResizeObserver(() => this.#fit()).observe(root);
    addEventListener("resize", () => this.later(() => this.rebuild()));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    addEventListener("keydown", (event) => event.key === "Escape" && this.#untip());
  }

  later(work) {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(work);
  }

  /** Lay everything out anew: clusters came or went, or the window has another size. */
  rebuild() {
    const focused = this.root.contains(document.activeElement);
    const regions = this.fleet.grouped();
    const width = (this.laidWidth = this.root.clientWidth);
    const room = Math.max(LEAST_HEIGHT_PX, innerHeight - this.root.getBoundingClientRect().top - scrollY - 24);
    const plan = arrange(regions, width, room);
    this.near.disconnect();
    this.pulses.clear();
    this.places.clear();
    this.pitch = plan.pitch;
    this.cards = regions.map((region, place) => this.#card(region, place, plan.regions[place], plan.width));
    fill(this.root, plan.columns.map((places) => h("div", { class: "column" }, places.map((place) => this.cards[place].element))));
    this.recolour();
    this.recount();
    for (const card of this.cards) this.near.observe(card.canvas);
    if (!this.places.has(this.current)) this.current = null;
    this.#stop(this.current === null ? this.cards[0] : this.places.get(this.current).card);
    if (focused && this.current !== null) this.focus(this.current);
  }

  /** Lay out anew where the panel came or went beside the map. */
  #fit() {
    if (this.root.clientWidth && this.root.clientWidth !== this.laidWidth) this.later(() => this.rebuild());
  }

  /** Read the colours again, and draw all that is on the screen. */
  recolour() {
    this.ratio = Math.min(RATIO_MOST, Math.ceil(devicePixelRatio || 1));
    this.colours = palette(document.documentElement);
    if (!this.pitch) return;
    this.sprites = new Sprites(this.pitch, this.ratio, this.colours);
    this.redraw();
  }

  /** Draw every cell on the screen anew. */
  redraw() {
    for (const card of this.cards) if (card.isNear) this.#paint(card);
  }

  /** Draw cells that changed, and have them light up for a moment. */
  changed(cells) {
    const now = performance.now();
    for (const cell of cells) {
      this.dirty.add(cell.number);
      if (cell.isShown && !this.calm.matches && this.pulses.size < PULSES_MOST) this.pulses.set(cell.number, now);
    }
    if (cells.length) this.#frame();
  }

  /** Say in each card how its clusters are. */
  recount() {
    for (const card of this.cards) {
      const counts = [0, 0, 0, 0];
      let drifted = 0;
      for (const cell of card.cells) {
        counts[cell.status]++;
        drifted += cell.drift > 0 ? 1 : 0;
      }
      const [, degraded, failing, unknown] = counts;
      card.summary.tell(card.cells.length, { failing, degraded, unknown, drift: drifted });
    }
  }

  /** Put the focus on a cell, and scroll it into view. */
  focus(cellNumber) {
    const place = this.places.get(cellNumber);
    if (!place) return;
    this.#point(place, cellNumber);
    place.card.list.focus({ preventScroll: true });
    place.card.options[place.card.turn].scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  // Building ---------------------------------------------------------------------------------------------------

  #card(region, place, laid, width) {
    const id = `region-${place}`;
    const canvas = h("canvas", { "aria-hidden": "true" });
    const options = [0, 1].map((turn) => h("div", { role: "option", id: `${id}-${turn}`, class: "cell", hidden: true, "aria-selected": "false" }));
    const list = h(
      "div",
      { class: "cells", role: "listbox", tabindex: "-1", "aria-labelledby": id, "aria-describedby": "map-keys" },
      laid.blocks.map((block) => this.#label(block, laid)),
      canvas,
      options,
    );
    const summary = new Summary();
    const element = h("section", { class: "region", "aria-labelledby": id }, h("header", null, h("h3", { id }, region.name), summary.element), list);
    list.style.height = `${laid.height}px`;
    const card = { element, canvas, list, options, summary, turn: 0, width, height: laid.height, blocks: laid.blocks, cells: [], isNear: false };
    for (const block of laid.blocks) {
      block.first = card.cells.length;
      block.cells.forEach((cell, order) => {
        const x = block.x + (order % block.columns) * this.pitch;
        const y = block.y + Math.floor(order / block.columns) * this.pitch;
        this.places.set(cell.number, { card, x, y, block, index: card.cells.length });
        card.cells.push(cell);
      });
    }
    canvas.cellsOf = card;
    list.addEventListener("keydown", (event) => this.#key(event, card));
    list.addEventListener("focus", () => this.#arrive(card));
    list.addEventListener("blur", () => this.#leave(card));
    list.addEventListener("pointermove", (event) => this.#hover(event, card));
    list.addEventListener("pointerleave", () => this.#untip());
    list.addEventListener("click", (event) => this.#click(event, card));
    return card;
  }

  #label(block, laid) {
    if (!laid.isLabelled || !block.site) return null;
    const label = h("span", { class: "site", "aria-hidden": "true" }, block.site);
    label.style.left = `${block.x}px`;
    label.style.top = `${block.y - LABEL_PX}px`;
    label.style.width = `${block.width}px`;
    return label;
  }

  // Drawing ----------------------------------------------------------------------------------------------------

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = target.cellsOf;
      if (card.isNear === isIntersecting) continue;
      card.isNear = isIntersecting;
      if (isIntersecting) this.#paint(card);
      else target.width = target.height = 0;
    }
    if (this.isPictured || !this.places.size) return;
    this.isPictured = true;
    // In the frame after this one what was drawn is on the screen.
    requestAnimationFrame(() => performance.mark("abdrift-first-picture"));
  }

  #paint(card) {
    const { canvas } = card;
    canvas.width = Math.ceil(card.width * this.ratio);
    canvas.height = Math.ceil(card.height * this.ratio);
    canvas.style.width = `${card.width}px`;
    canvas.style.height = `${card.height}px`;
    card.context = canvas.getContext("2d");
    card.context.scale(this.ratio, this.ratio);
    for (const cell of card.cells) this.#draw(cell);
  }

  #draw(cell) {
    const { card, x, y } = this.places.get(cell.number);
    this.sprites.draw(card.context, cell, x, y);
  }

  #frame() {
    if (this.isMoving) return;
    this.isMoving = true;
    requestAnimationFrame((now) => {
      this.isMoving = false;
      for (const cellNumber of this.pulses.keys()) this.dirty.add(cellNumber);
      for (const cellNumber of this.dirty) this.#refresh(cellNumber, now);
      this.dirty.clear();
      if (this.pulses.size) this.#frame();
    });
  }

  #refresh(cellNumber, now) {
    const place = this.places.get(cellNumber);
    if (!place?.card.isNear) {
      this.pulses.delete(cellNumber);
      return;
    }
    const { card, x, y, index } = place;
    this.sprites.draw(card.context, card.cells[index], x, y);
    const begun = this.pulses.get(cellNumber);
    if (begun === undefined) return;
    const left = 1 - (now - begun) / PULSE_MS;
    if (left <= 0) {
      this.pulses.delete(cellNumber);
      return;
    }
    card.context.globalAlpha = Math.min(1, left);
    card.context.strokeStyle = this.colours.text;
    card.context.lineWidth = Math.max(1.5, this.pitch / 8);
    const inset = card.context.lineWidth / 2;
    card.context.strokeRect(x + inset, y + inset, this.pitch - 2 * inset - 1, this.pitch - 2 * inset - 1);
    card.context.globalAlpha = 1;
  }

  // Pointing ---------------------------------------------------------------------------------------------------

  #at(event, card) {
    const box = card.list.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    for (const block of card.blocks) {
      const [column, row] = [Math.floor((x - block.x) / this.pitch), Math.floor((y - block.y) / this.pitch)];
      if (column < 0 || row < 0 || column >= block.columns || row >= block.rows) continue;
      const place = row * block.columns + column;
      if (place < block.cells.length) return block.cells[place];
    }
    return null;
  }

  #hover(event, card) {
    const cell = event.pointerType === "touch" ? null : this.#at(event, card);
    card.list.classList.toggle("over", cell !== null);
    if (!cell) {
      this.#untip();
      return;
    }
    this.#tell(cell, event.clientX, event.clientY);
  }

  #tell(cell, x, y) {
    fill(this.tip, h("strong", null, cell.name), h("span", null, cell.story(this.fleet.now, duration).slice(cell.name.length + 2)));
    this.tip.hidden = false;
    const right = Math.min(x + 14, innerWidth - this.tip.offsetWidth - 8);
    const below = y + 18 + this.tip.offsetHeight > innerHeight ? y - this.tip.offsetHeight - 12 : y + 18;
    this.tip.style.transform = `translate(${Math.max(8, right)}px, ${below}px)`;
  }

  #untip() {
    this.tip.hidden = true;
  }

  #click(event, card) {
    const cell = this.#at(event, card);
    if (!cell) return;
    this.focus(cell.number);
    this.open(cell, this.#backTo(cell));
  }

  /** What takes the focus back to a cell, wherever it is by then. */
  #backTo(cell) {
    return { focus: () => this.focus(cell.number) };
  }

  // Keys -------------------------------------------------------------------------------------------------------

  #stop(card) {
    for (const each of this.cards) each.list.tabIndex = each === card ? 0 : -1;
  }

  #arrive(card) {
    const place = this.places.get(this.current);
    if (place?.card === card) this.#point(place, this.current);
    else if (card.cells.length) this.#point(this.places.get(card.cells[0].number), card.cells[0].number);
  }

  #leave(card) {
    for (const option of card.options) option.hidden = true;
    card.list.removeAttribute("aria-activedescendant");
  }

  #point(place, cellNumber) {
    const { card, x, y, index } = place;
    const cell = card.cells[index];
    this.current = cellNumber;
    this.#stop(card);
    card.options[card.turn].hidden = true;
    card.turn = 1 - card.turn;
    const option = card.options[card.turn];
    option.hidden = false;
    option.setAttribute("aria-label", cell.story(this.fleet.now, duration));
    option.setAttribute("aria-posinset", index + 1);
    option.setAttribute("aria-setsize", card.cells.length);
    option.style.transform = `translate(${x}px, ${y}px)`;
    option.style.width = option.style.height = `${this.pitch - 1}px`;
    card.list.setAttribute("aria-activedescendant", option.id);
  }

  #key(event, card) {
    const place = this.places.get(this.current);
    if (!place || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(card.cells[place.index], this.#backTo(card.cells[place.index]));
      return;
    }
    const target = this.#target(event, place);
    if (target === undefined) return;
    event.preventDefault();
    if (target) this.focus(target.number);
  }

  /** The cell that a key leads to; null where there is none, undefined where the key is not for the map. */
  #target(event, place) {
    const { card, index, block } = place;
    const all = () => this.cards.flatMap((each) => each.cells);
    switch (event.key) {
      case "ArrowRight":
        return card.cells[index + 1] ?? this.#neighbour(card, 1)?.cells[0] ?? null;
      case "ArrowLeft":
        return card.cells[index - 1] ?? this.#neighbour(card, -1)?.cells.at(-1) ?? null;
      case "ArrowDown":
        return this.#vertical(place, 1) ?? this.#neighbour(card, 1)?.cells[0] ?? null;
      case "ArrowUp":
        return this.#vertical(place, -1) ?? this.#neighbour(card, -1)?.cells.at(-1) ?? null;
      case "PageDown":
        return this.#site(card, block, 1);
      case "PageUp":
        return this.#site(card, block, -1);
      case "Home":
        return event.ctrlKey ? all()[0] : card.cells[0];
      case "End":
        return event.ctrlKey ? all().at(-1) : card.cells.at(-1);
      case "n":
      case "p":
        return event.ctrlKey ? undefined : this.#troubled(all(), card.cells[index], event.key === "n" ? 1 : -1);
      default:
        return undefined;
    }
  }

  #neighbour(card, step) {
    return this.cards[this.cards.indexOf(card) + step];
  }

  #site(card, block, step) {
    const other = card.blocks[card.blocks.indexOf(block) + step];
    return other?.cells[0] ?? this.#neighbour(card, step)?.blocks.at(step > 0 ? 0 : -1)?.cells[0] ?? null;
  }

  /** The nearest cell above or below, by the distance of which the sideways part counts double. */
  #vertical({ card, x, y }, step) {
    let [best, least] = [null, Infinity];
    for (const cell of card.cells) {
      const other = this.places.get(cell.number);
      const down = (other.y - y) * step;
      if (down <= 0) continue;
      const far = down + 2 * Math.abs(other.x - x);
      if (far < least) [best, least] = [cell, far];
    }
    return best;
  }

  /** The next cell in that direction which needs attention and is not filtered out. */
  #troubled(cells, from, step) {
    const start = cells.indexOf(from);
    for (let place = start + step; place >= 0 && place < cells.length; place += step) {
      if (cells[place].needsAttention && cells[place].isShown) return cells[place];
    }
    return null;
  }
}
