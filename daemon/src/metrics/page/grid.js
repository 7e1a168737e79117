const MANY = 512;           // ranges from which on cells are small
const OLD = 60000;          // ms after which a mapping is as old as can be

// One colour a file, as far apart as the golden angle puts them; kept while the page is open.
const hues = new Map();
const hueOf = (node) => {
  if (!hues.has(node)) hues.set(node, Math.round((hues.size * 137.508 + 212) % 360));
  return String(hues.get(node));
};

// The grid.
const grid = byId("grid");
let cells = [];
let shown = -1;  // the cell whose range is told about
let columns = 16;
const columnsFor = (n) => (n <= 32 ? 8 : n <= MANY ? 16 : n <= 2048 ? 64 : 128);
const layGrid = (n) => {
  columns = columnsFor(n);
  grid.style.setProperty("--columns", String(columns));
  setData(grid, "size", n > MANY ? "many" : "few");
  cells = Array.from({ length: n }, (_, index) => {
    const cell = make("div", "cell");
    cell.setAttribute("role", "gridcell");
    cell.tabIndex = index ? -1 : 0;
    cell.dataset.index = String(index);
    cell.dataset.state = "free";
    return cell;
  });
  const rows = [];
  for (let at = 0; at < n; at += columns) {
    const row = make("div", "row");
    row.setAttribute("role", "row");
    row.append(...cells.slice(at, at + columns));
    rows.push(row);
  }
  grid.replaceChildren(...rows);
  shown = -1;
};
const drawCell = (cell, range, file) => {
  setData(cell, "state", range ? range.state : "free");
  setData(cell, "node", range ? String(file.node) : "");
  setData(cell, "writable", range && range.writable ? "yes" : "no");
  if (range) {
    const hue = hueOf(file.node);
    if (cell.style.getPropertyValue("--hue") !== hue) cell.style.setProperty("--hue", hue);
    const old = String(Math.round(Math.min(1, Math.sqrt(range.age_ms / OLD)) * 100));
    if (cell.style.getPropertyValue("--age") !== old) cell.style.setProperty("--age", old);
  }
  const label = range ? `${nameOf(file)}, offset ${hex(range.from)}` : "free";
  if (cell.getAttribute("aria-label") !== label) cell.setAttribute("aria-label", label);
};
let window_ = null;      // the last window that was seen
let rangeOfCell = [];
const drawWindow = (seen) => {
  const n = Math.ceil(seen.size / seen.range);
  if (cells.length !== n) layGrid(n);
  rangeOfCell = new Array(n);
  for (const range of seen.ranges) {
    const end = Math.min(n, Math.ceil((range.at + range.len) / seen.range));
    for (let at = Math.floor(range.at / seen.range); at < end; at += 1) rangeOfCell[at] ??= range;
  }
  cells.forEach((cell, index) => {
    const range = rangeOfCell[index];
    drawCell(cell, range, range && seen.files[range.file]);
  });
};
