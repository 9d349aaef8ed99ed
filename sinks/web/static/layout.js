// Where cells go: the largest cells with which the fleet fits the height, sites as blocks, regions as cards. Pure.

export const LABEL_PX = 15;
const PITCHES = [44, 38, 34, 30, 26, 23, 20, 18, 16, 14, 13, 12, 11, 10, 9, 8];
const CARD_PX = 62; // a card's heading, padding and the gap below it
const CARD_PADDING_PX = 24;
const COLUMN_GAP_PX = 14;
const COLUMN_LEAST_PX = 330;
const COLUMNS_MOST = 4;
const LABELS_MOST = 90;
const LABEL_WIDTH_PX = 7.4;
const LABEL_LONGEST_PX = 84;
const ROWS_MOST = 14; // of a block

/**
 * Choose the size of cells and the number of columns.
 * @param regions [{name, sites: [{name, cells}]}]
 * @returns {{pitch, width, columns: number[][], regions: {blocks, height}[]}} columns hold the regions' places
 */
export function arrange(regions, width, height) {
  let best = null;
  for (const pitch of PITCHES) {
    for (let count = 1; count <= Math.min(COLUMNS_MOST, regions.length || 1); count++) {
      const each = Math.floor((width - COLUMN_GAP_PX * (count - 1)) / count);
      if (count > 1 && each < COLUMN_LEAST_PX) break;
      const inner = each - CARD_PADDING_PX;
      const laid = regions.map((region) => blocksOf(region.sites, inner, pitch));
      const { columns, tallest } = stacked(laid, count);
      const found = { pitch, width: inner, columns, regions: laid, tallest };
      if (!best || found.tallest < best.tallest) best = found;
    }
    if (best.tallest <= height) return best;
  }
  return best;
}

/** Put each region into the column that is shortest so far. */
function stacked(laid, count) {
  const columns = Array.from({ length: count }, () => []);
  const heights = Array(count).fill(0);
  laid.forEach((region, place) => {
    const shortest = heights.indexOf(Math.min(...heights));
    columns[shortest].push(place);
    heights[shortest] += region.height + CARD_PX;
  });
  return { columns, tallest: Math.max(...heights) };
}

/** Lay a region's sites out as blocks that flow like words, as high as takes the least room. */
export function blocksOf(sites, width, pitch) {
  const largest = Math.max(1, ...sites.map((site) => site.cells.length));
  let best = null;
  for (let rows = 1; rows <= Math.min(ROWS_MOST, largest); rows++) {
    const height = flowed(sites, width, pitch, rows, () => {});
    if (!best || height < best.height) best = { rows, height };
  }
  const blocks = [];
  const height = flowed(sites, width, pitch, best.rows, (block) => blocks.push(block));
  return { blocks, height, isLabelled: isLabelled(sites) };
}

const isLabelled = (sites) => sites.length <= LABELS_MOST && sites.some((site) => site.name);

/** Place blocks of about so many rows, and return the height that they take. */
function flowed(sites, width, pitch, usualRows, place) {
  const labelled = isLabelled(sites);
  const most = Math.max(1, Math.floor(width / pitch));
  const top = labelled ? LABEL_PX : 0;
  // Whole pixels, so that a cell that is cleared leaves nothing behind.
  const gapX = Math.round(labelled ? Math.max(8, pitch * 0.7) : Math.max(3, pitch * 0.4));
  const gapY = labelled ? 7 : gapX;
  let [x, y, line] = [0, 0, 0];
  for (const site of sites) {
    const count = site.cells.length;
    const columns = Math.min(most, Math.ceil(count / usualRows));
    const rows = Math.ceil(count / columns);
    const label = labelled ? Math.min(LABEL_LONGEST_PX, Math.ceil(site.name.length * LABEL_WIDTH_PX)) : 0;
    const blockWidth = Math.min(width, Math.max(columns * pitch, label));
    if (x > 0 && x + blockWidth > width) [x, y, line] = [0, y + line + gapY, 0];
    place({ site: site.name, cells: site.cells, x, y: y + top, columns, rows, width: blockWidth });
    line = Math.max(line, top + rows * pitch);
    x += blockWidth + gapX;
  }
  return y + line;
}
