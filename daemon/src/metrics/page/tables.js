const MOST_FILES = 40;      // rows of the table

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

// What the VMM was found to do, and what comes of it.
const TRAITS = [
  ["needs_views", "needs views of files", "files are mapped by views", "it could map files as they are"],
  ["enforces_read_only", "maps for reading only", "files that may only be read are mapped, too",
    "such files are not mapped"],
  ["uses_regions", "makes each mapping a memory region", "there are limits of them", "no limit of mappings"],
  ["answers_after_effect", "answers after the effect", "one question a mapping", "two questions a mapping"],
];
const vmmBody = byId("vmm").tBodies[0];
for (const [id, name] of TRAITS) {
  const row = document.createElement("tr");
  row.id = `vmm-${id}`;
  row.append(make("td", "", name), make("td"), make("td"));
  vmmBody.append(row);
}
const drawVmm = (seen) => {
  byId("vmm").hidden = !seen;
  for (const [id, , ifSo, ifNot] of TRAITS) {
    const answer = seen?.vmm[id] ?? null;
    const [, found, so] = byId(`vmm-${id}`).cells;
    setText(found, answer === null ? "not known" : answer ? "yes" : "no");
    setText(so, answer ? ifSo : ifNot);
  }
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
