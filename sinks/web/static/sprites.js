// How a cell looks. Each status has a shape of its own besides its colour, so that colour alone tells nothing:
// healthy is plain, degraded has a bar, failing a cross, unknown is hollow, and drift is a diamond at the corner.

import { STATUSES } from "./model.js";

const DIMMED = 0.16;

/** The page's colours, as the style sheet gives them for a light or a dark screen. */
export function palette(element) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    card: read("card"),
    text: read("text"),
    muted: read("muted"),
    drift: read("drift"),
    statuses: STATUSES.map(read),
  };
}

/** Every look of a cell, drawn once for a size and a palette. */
export class Sprites {
  constructor(pitch, ratio, colours) {
    this.pitch = pitch;
    this.size = Math.ceil(pitch * ratio);
    const looks = STATUSES.length * 4;
    this.sheet = document.createElement("canvas");
    this.sheet.width = this.size * looks;
    this.sheet.height = this.size;
    const context = this.sheet.getContext("2d");
    context.scale(ratio, ratio);
    for (let look = 0; look < looks; look++) {
      context.save();
      context.translate((look * this.size) / ratio, 0);
      drawn(context, pitch, look >> 2, (look & 2) !== 0, (look & 1) !== 0, colours);
      context.restore();
    }
  }

  /** Draw a cell's look at a place; coordinates are CSS pixels. */
  draw(context, cell, x, y) {
    const look = (cell.status << 2) | (cell.drift > 0 ? 2 : 0) | (cell.isShown ? 0 : 1);
    context.clearRect(x, y, this.pitch, this.pitch);
    context.drawImage(this.sheet, look * this.size, 0, this.size, this.size, x, y, this.pitch, this.pitch);
  }
}

function drawn(context, pitch, status, isDrifted, isDimmed, colours) {
  const gap = pitch > 18 ? 3 : pitch > 10 ? 2 : 1;
  const side = pitch - gap;
  const radius = Math.min(4, side / 5);
  const colour = colours.statuses[status];
  context.globalAlpha = isDimmed ? DIMMED : 1;
  context.fillStyle = context.strokeStyle = colour;
  if (STATUSES[status] === "unknown") {
    const line = Math.max(1, side / 9);
    context.lineWidth = line;
    box(context, line / 2, line / 2, side - line, radius);
    context.stroke();
  } else {
    box(context, 0, 0, side, radius);
    context.fill();
  }
  context.fillStyle = context.strokeStyle = colours.card;
  const thick = Math.max(1.1, side / 7);
  if (STATUSES[status] === "degraded") {
    context.fillRect(side * 0.2, (side - thick) / 2, side * 0.6, thick);
  } else if (STATUSES[status] === "failing") {
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(side * 0.25, side * 0.25);
    context.lineTo(side * 0.75, side * 0.75);
    context.moveTo(side * 0.75, side * 0.25);
    context.lineTo(side * 0.25, side * 0.75);
    context.stroke();
  }
  if (isDrifted) diamond(context, side, colours);
}

function box(context, x, y, side, radius) {
  context.beginPath();
  context.roundRect(x, y, side, side, radius);
}

function diamond(context, side, colours) {
  const half = Math.max(2.6, side * 0.3);
  const [x, y] = [side - half + 0.5, half - 0.5];
  for (const [reach, colour] of [[half + 1, colours.card], [half, colours.drift]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(x, y - reach);
    context.lineTo(x + reach, y);
    context.lineTo(x, y + reach);
    context.lineTo(x - reach, y);
    context.fill();
  }
}
