// The row of numbers.
const TILES = [
  ["occupied", "Mapped"], ["used", "Used of it"], ["ranges", "Ranges"], ["files", "Files"],
  ["regions", "VM regions"], ["requests", "Requests"], ["read", "Read"],
  ["written", "Written"], ["refused", "Refused maps"], ["lost", "Lost pages"],
  ["errors", "Errors"],
];
const tiles = new Map();
for (const [id, name] of TILES) {
  const tile = make("div", "tile");
  tile.id = `tile-${id}`;
  const parts = {
    tile, value: make("div", "value", "–"), of: make("div", "of", "\u00a0"),
  };
  tile.append(make("div", "name", name), parts.value, parts.of);
  byId("tiles").append(tile);
  tiles.set(id, parts);
}
const setTile = (id, value, of = "\u00a0", alarm = false) => {
  const parts = tiles.get(id);
  setText(parts.value, value);
  setText(parts.of, of);
  setData(parts.tile, "alarm", alarm ? "yes" : "no");
};

const drawTiles = (seen) => {
  const { totals } = seen;
  const seenWindow = seen.window;
  if (seenWindow) {
    const { regions } = seenWindow;
    setTile("occupied", bytes(seenWindow.occupied), `of ${bytes(seenWindow.size)}`);
    setTile("used", bytes(seenWindow.used), seenWindow.occupied
      ? `${Math.round(seenWindow.used * 100 / seenWindow.occupied)} % of what is mapped` : undefined);
    setTile("ranges", count(seenWindow.ranges.length), `${count(totals.maps)} mapped so far`);
    setTile("files", count(seenWindow.files.length), `${count(seenWindow.views)} views open`);
    setTile("regions", count(regions.in_use), regions.limit ? `of ${regions.limit}` : "known to the daemon",
      regions.limit && regions.in_use >= regions.limit);
  } else {
    for (const id of ["occupied", "used", "ranges", "files", "regions"]) setTile(id, "–");
  }
  setTile("requests", count(totals.requests), "by FUSE");
  setTile("read", bytes(totals.read_bytes), "by FUSE, not the window");
  setTile("written", bytes(totals.written_bytes), "by FUSE, not the window");
  setTile("refused", count(totals.refused), "the guest got an error", totals.refused > 0);
  setTile("lost", count(totals.lost_pages), `${count(totals.lost_stores)} stored to`,
    totals.lost_pages > 0);
  setTile("errors", count(totals.errors), "error replies");
};
