const KEPT = 60000;         // ms of rates

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
