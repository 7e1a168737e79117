// From one look at the daemon to the next.
const VERSION = 1;
const EVERY = 400;          // ms between two looks
const HIDDEN_EVERY = 2000;  // while nobody sees the page
const PATIENCE = 3000;      // ms for an answer

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
  drawVmm(seen.window);
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
