// What is said of the range that is pointed at.
const detail = byId("detail");
const drawDetail = () => {
  const facts = [];
  if (window_ && shown >= 0 && shown < cells.length) {
    const range = rangeOfCell[shown];
    facts.push(["range", `${shown} of ${cells.length}, at ${hex(shown * window_.range)}`]);
    if (range) {
      const file = window_.files[range.file];
      facts.push(["file", nameOf(file)]);
      facts.push(["inode", `${file.inode} on device ${file.device}`]);
      facts.push(["offset", `${hex(range.from)}, ${bytes(range.len)}`]);
      facts.push(["mapped", `for ${age(range.age_ms)}, ${range.writable ? "written to" : "only read"} by the guest`]);
      if (range.state !== "live") facts.push(["state", "unknown: a call to the VMM failed"]);
    } else {
      facts.push(["file", "none, the range is free"]);
    }
  } else if (window_ && window_.ranges.length) {
    facts.push(["", "Point at a range, or move with the arrow keys. A dot marks what the guest writes to."]);
  }
  while (detail.children.length > facts.length * 2) detail.lastChild.remove();
  facts.forEach(([name, value], index) => {
    if (!detail.children[index * 2]) detail.append(make("dt"), make("dd"));
    setText(detail.children[index * 2], name);
    setText(detail.children[index * 2 + 1], value);
  });
};
const show = (index) => {
  cells[shown]?.classList.remove("shown");
  shown = index;
  cells[shown]?.classList.add("shown");
  drawDetail();
};
const indexOf = (event) => {
  const cell = event.target.closest(".cell");
  return cell ? Number(cell.dataset.index) : -1;
};
grid.addEventListener("pointerover", (event) => show(indexOf(event)));
grid.addEventListener("pointerleave", () => show(cells.indexOf(document.activeElement)));
grid.addEventListener("focusin", (event) => show(indexOf(event)));
grid.addEventListener("keydown", (event) => {
  const from = indexOf(event);
  const row = from - (from % columns);
  const to = {
    ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - columns, ArrowDown: from + columns,
    Home: row, End: Math.min(cells.length, row + columns) - 1,
  }[event.key];
  if (to === undefined || !cells[to]) return;
  event.preventDefault();
  cells[from].tabIndex = -1;
  cells[to].tabIndex = 0;
  cells[to].focus();
});
// A browser may remember the choice over a reload.
const chooseColour = () => setData(grid, "colour", byId("colour").querySelector(":checked").value);
byId("colour").addEventListener("change", chooseColour);
chooseColour();
