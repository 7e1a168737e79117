"use strict";
// Draws what /window.json says (daemon/docs/metrics.md). Names of files are a guest's: whatever is
// shown is set as text, never as markup.
(() => {
  const VERSION = 1;
  const EVERY = 400;          // ms between two looks
  const HIDDEN_EVERY = 2000;  // while nobody sees the page
  const PATIENCE = 3000;      // ms for an answer
  const KEPT = 60000;         // ms of rates
  const MANY = 512;           // ranges from which on cells are small
  const MOST_FILES = 40;      // rows of the table
  const OLD = 60000;          // ms after which a mapping is as old as can be

  const byId = (id) => document.getElementById(id);
  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const setData = (element, name, value) => {
    if (element.dataset[name] !== value) element.dataset[name] = value;
  };

  // Numbers for people.
  const bytes = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
    return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
  };
  const count = (n) => {
    if (n < 10000) return String(Math.round(n));
    const units = ["", "k", "M", "G", "T"];
    let unit = 0;
    while (n >= 1000 && unit < units.length - 1) { n /= 1000; unit += 1; }
    return `${n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
  };
  const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : count(n));
  const seconds = (s) => {
    if (s < 1e-3) return `${(s * 1e6).toFixed(s < 1e-5 ? 1 : 0)} µs`;
    if (s < 1) return `${(s * 1e3).toFixed(s < 1e-2 ? 2 : 1)} ms`;
    return `${s.toFixed(2)} s`;
  };
  const age = (ms) => {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  };
  const hex = (n) => `0x${n.toString(16)}`;
  const nameOf = (file) => file.path ?? `inode ${file.inode}`;

  // One colour a file, as far apart as the golden angle puts them; kept while the page is open.
  const hues = new Map();
  const hueOf = (node) => {
    if (!hues.has(node)) hues.set(node, Math.round((hues.size * 137.508 + 212) % 360));
    return String(hues.get(node));
  };

  // The row of numbers.
  const TILES = [
    ["occupied", "Mapped"], ["used", "Used of it"], ["ranges", "Ranges"], ["files", "Files"],
    ["regions", "VM regions"], ["requests", "Requests"], ["read", "Read"],
    ["written", "Written"], ["refused", "Refused maps"], ["errors", "Errors"],
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

  // Rates.
  const PLOTS = [
    ["maps", "maps per second", rate], ["unmaps", "unmaps per second", rate],
    ["requests", "requests per second", rate], ["bytes", "bytes per second", bytes],
  ];
  const SVG = "http://www.w3.org/2000/svg";
  const plots = PLOTS.map(([id, name, show]) => {
    const plot = make("div", "plot");
    plot.id = `plot-${id}`;
    const value = make("span", "value", "0");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 40");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", name);
    const [area, line] = ["area", "line"].map((kind) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      svg.append(path);
      return path;
    });
    const top = make("div", "top", "\u00a0");
    plot.append(value, make("span", "name", name), svg, top);
    byId("plots").append(plot);
    return { id, show, value, area, line, top };
  });
  let samples = [];

  const totalsOf = (seen) => ({
    at: seen.now_ms, maps: seen.totals.maps, unmaps: seen.totals.unmaps,
    requests: seen.totals.requests, bytes: seen.totals.read_bytes + seen.totals.written_bytes,
    classes: new Map(seen.classes.map((one) => [one.name, one.count])),
  });
  // The sample about a second before the last one: a rate over less is noise.
  const before = (index) => {
    let at = index;
    while (at > 0 && samples[index].at - samples[at].at < 1000) at -= 1;
    return samples[at];
  };
  const rateAt = (index, of) => {
    const [now, then] = [samples[index], before(index)];
    return now.at > then.at ? Math.max(0, (of(now) - of(then)) * 1000 / (now.at - then.at)) : 0;
  };
  const drawRates = () => {
    const last = samples.length - 1;
    for (const plot of plots) {
      const rates = samples.map((_, index) => rateAt(index, (sample) => sample[plot.id]));
      // The first look has nothing to be compared with.
      if (rates.length > 1) rates[0] = rates[1];
      const most = Math.max(1, ...rates);
      const points = samples.map((sample, index) => {
        const x = 100 - (samples[last].at - sample.at) * 100 / KEPT;
        return `${x.toFixed(2)},${(39 - rates[index] * 38 / most).toFixed(2)}`;
      });
      const first = points[0].split(",")[0];
      plot.line.setAttribute("d", `M${points.join("L")}`);
      plot.area.setAttribute("d", `M${first},40L${points.join("L")}L100,40Z`);
      setText(plot.value, plot.show(rates[last]));
      setText(plot.top, `most: ${plot.show(Math.max(...rates))}`);
    }
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

  // The files.
  const filesBody = byId("files").tBodies[0];
  let picked = null;  // the file that is pointed at
  const pick = (node) => {
    picked = node;
    if (node === null) delete grid.dataset.file;
    else grid.dataset.file = node;
    for (const cell of cells) cell.classList.toggle("picked", node !== null && cell.dataset.node === node);
  };
  const fileRow = () => {
    const row = document.createElement("tr");
    row.tabIndex = 0;
    for (let column = 0; column < 6; column += 1) row.append(make("td", column > 1 ? "n" : ""));
    row.cells[0].append(make("span", "swatch"));
    for (const begin of ["pointerenter", "focus"]) row.addEventListener(begin, () => pick(row.dataset.node));
    for (const end of ["pointerleave", "blur"]) row.addEventListener(end, () => pick(null));
    return row;
  };
  const drawFiles = (seen) => {
    const files = seen.files.map((file) => ({ ...file, ranges: 0, mapped: 0 }));
    for (const range of seen.ranges) {
      files[range.file].ranges += 1;
      files[range.file].mapped += range.len;
    }
    files.sort((a, b) => b.mapped - a.mapped || a.node - b.node);
    const listed = files.slice(0, MOST_FILES);
    while (filesBody.rows.length > listed.length) filesBody.lastChild.remove();
    listed.forEach((file, index) => {
      if (!filesBody.rows[index]) filesBody.append(fileRow());
      const row = filesBody.rows[index];
      setData(row, "node", String(file.node));
      row.cells[0].firstChild.style.setProperty("--hue", hueOf(file.node));
      const texts = [nameOf(file), file.inode, String(file.ranges), bytes(file.mapped),
        file.size === null ? "unknown" : bytes(file.size)];
      texts.forEach((text, column) => setText(row.cells[column + 1], text));
      if (row.cells[1].title !== texts[0]) row.cells[1].title = texts[0];
    });
    setText(byId("files-more"), files.length > MOST_FILES ? `the ${MOST_FILES} largest of ${files.length}` : "");
    if (picked !== null) pick(files.some((file) => String(file.node) === picked) ? picked : null);
  };

  // The classes of requests.
  const classesBody = byId("classes").tBodies[0];
  const drawClasses = (seen) => {
    const last = samples.length - 1;
    const used = seen.classes.filter((one) => one.count > 0);
    while (classesBody.rows.length > used.length) classesBody.lastChild.remove();
    used.forEach((one, index) => {
      if (!classesBody.rows[index]) {
        const row = document.createElement("tr");
        for (let column = 0; column < 4; column += 1) row.append(make("td", column ? "n" : ""));
        classesBody.append(row);
      }
      const perSecond = rateAt(last, (sample) => sample.classes.get(one.name) ?? 0);
      const texts = [one.name, count(one.count), rate(perSecond), seconds(one.seconds / one.count)];
      texts.forEach((text, column) => setText(classesBody.rows[index].cells[column], text));
    });
    const queues = seen.totals.queues.map((n, queue) => `queue ${queue}: ${count(n)}`);
    setText(byId("queues"), queues.join(" · "));
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
      setTile("regions", count(regions.in_use), `of ${regions.limit}`, regions.in_use >= regions.limit);
    } else {
      for (const id of ["occupied", "used", "ranges", "files", "regions"]) setTile(id, "–");
    }
    setTile("requests", count(totals.requests), "by FUSE");
    setTile("read", bytes(totals.read_bytes), "by FUSE, not the window");
    setTile("written", bytes(totals.written_bytes), "by FUSE, not the window");
    setTile("refused", count(totals.refused), "the guest got an error", totals.refused > 0);
    setTile("errors", count(totals.errors), "error replies");
  };

  const drawEmpty = (seen) => {
    let text = "";
    if (!seen.window) text = "No window: this share is served by requests alone. The daemon's log says why.";
    else if (!seen.window.ranges.length) text = "Nothing is mapped.";
    const empty = byId("empty");
    setText(empty, text);
    empty.hidden = !text;
    grid.hidden = !seen.window;
    byId("colour").hidden = !seen.window;
  };

  let started = null;
  const draw = (seen) => {
    if (seen.version !== VERSION) throw new Error(`the daemon speaks version ${seen.version}`);
    if (started !== seen.started) {
      // Another daemon at the same address.
      started = seen.started;
      samples = [];
      hues.clear();
    }
    samples.push(totalsOf(seen));
    while (samples.length > 2 && seen.now_ms - samples[0].at > KEPT) samples.shift();
    window_ = seen.window;
    if (seen.window) drawWindow(seen.window);
    drawEmpty(seen);
    drawTiles(seen);
    drawFiles(seen.window ?? { files: [], ranges: [] });
    drawClasses(seen);
    drawRates();
    drawDetail();
    setText(byId("since"), `up ${age(seen.now_ms)}`);
  };

  // Whether there is a daemon.
  let lastSeen = null;
  const setState = (state, text, notice = "") => {
    setData(document.body, "state", state);
    setData(byId("status"), "state", state);
    setText(byId("status"), text);
    setText(byId("notice"), notice);
    byId("notice").hidden = !notice;
  };
  const look = async () => {
    try {
      const answer = await fetch("/window.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`the daemon answers ${answer.status}`);
      draw(await answer.json());
      lastSeen = Date.now();
      setState("live", "live");
    } catch (error) {
      const when = lastSeen === null ? "It has not answered yet." : `It was last seen ${age(Date.now() - lastSeen)} ago.`;
      setState("gone", "daemon gone", `The daemon has ended, or can't be reached. ${when} (${error.message})`);
    }
    setTimeout(look, document.hidden ? HIDDEN_EVERY : EVERY);
  };
  look();
})();
