"use strict";
// The front on two or three axes. `page.points()` tells what the chart shows.
const chosenAxes = () => ["x", "y", "z"].map((name) => element(`axis-${name}`).value).filter(Boolean);

function hover(i) {
  const { front, objectives, limits } = page.study;
  const name = marked(front.candidate[i]);
  const lines = [`<b>candidate ${front.candidate[i]}</b>${name ? ` · ${name}` : ""}`];
  for (const metric of new Set([...objectives, ...limits.map((limit) => limit.metric)])) {
    lines.push(`${metric}${arrow(metric)} ${short(front.metrics[metric][i])}`);
  }
  if (front.violation[i]) lines.push(`violation ${short(front.violation[i])}`);
  return lines.join("<br>");
}

function traces(axes) {
  const { front, others } = page.study;
  const flat = axes.length < 3;
  const type = flat ? "scattergl" : "scatter3d";
  const place = (source, indices) =>
    Object.fromEntries(axes.map((metric, k) => ["xyz"[k], indices.map((i) => source.metrics[metric][i])]));
  const faint = (source, indices, name, symbol, opacity) => ({
    type, mode: "markers", name, ...place(source, indices), opacity, customdata: indices.map((i) => source.candidate[i]),
    marker: { size: flat ? 4 : 2, color: colour("--faint"), symbol },
    hovertemplate: `candidate %{customdata}<extra>${name}</extra>`,
  });
  const drawn = [];
  for (const [box, feasible, name, symbol, opacity] of
    [["show-infeasible", 0, "breaks a limit", "x", 0.35], ["show-others", 1, "dominated", "circle", 0.55]]) {
    if (!element(box).checked) continue;
    const indices = [...others.candidate.keys()].filter((i) => others.feasible[i] === feasible && passes(others, i));
    if (indices.length) drawn.push(faint(others, indices, name, symbol, opacity));
  }
  const all = [...front.candidate.keys()], inside = all.filter((i) => passes(front, i));
  const outside = all.filter((i) => !inside.includes(i));
  if (outside.length) drawn.push(faint(front, outside, "filtered out", "circle-open", 0.35));
  if (page.past) {
    drawn.push({
      type, mode: "markers", name: `front after ${whole(page.past.told)}`, ...place(page.past, [...page.past.candidate.keys()]),
      customdata: page.past.candidate, marker: { size: flat ? 8 : 4, color: colour("--mark") },
      hovertemplate: "candidate %{customdata}<extra></extra>",
    });
  }
  const by = element("colour").value;
  const shade = by === "candidate" ? front.candidate : by ? front.metrics[by] : null;
  const marker = { size: flat ? 8 : 4, color: colour("--accent"), line: { width: flat ? 1 : 0, color: colour("--card") } };
  if (shade) {
    Object.assign(marker, {
      color: inside.map((i) => shade[i]), colorscale: shades(), showscale: window.innerWidth > 640,
      colorbar: { title: { text: by, side: "right" }, thickness: 10, outlinewidth: 0 },
    });
  }
  drawn.push({
    type, mode: "markers", name: page.study.front.feasible ? "front" : "breaks the limits least", ...place(front, inside),
    marker, opacity: page.past ? 0.25 : 1, customdata: inside.map((i) => front.candidate[i]), text: inside.map(hover),
    hovertemplate: "%{text}<extra></extra>",
  });
  const named = inside.filter((i) => marked(front.candidate[i]));
  drawn.push({
    type, mode: "markers+text", name: "picks", ...place(front, named), customdata: named.map((i) => front.candidate[i]),
    text: named.map((i) => marked(front.candidate[i])), textposition: "top center", textfont: { color: colour("--mark") },
    hoverinfo: "skip", marker: { size: flat ? 15 : 7, color: colour("--mark"), symbol: "circle-open", line: { width: 2 } },
  });
  const at = front.candidate.indexOf(page.chosen), source = at >= 0 ? front : others;
  const i = at >= 0 ? at : others.candidate.indexOf(page.chosen);
  if (i >= 0) {
    drawn.push({
      type, mode: "markers", name: "chosen", ...place(source, [i]), customdata: [page.chosen], hoverinfo: "skip", showlegend: false,
      marker: { size: flat ? 13 : 8, color: colour("--ink"), symbol: flat ? "circle-open" : "diamond-open", line: { width: 2.5 } },
    });
  }
  return drawn;
}

// A few very bad candidates would squeeze the front into a corner: the first view is the front's, with some room.
function view(metric) {
  const { front } = page.study;
  const values = front.metrics[metric].filter((v) => v !== null);
  if (!values.length) return undefined;
  const low = Math.min(...values), high = Math.max(...values);
  const room = high > low ? (high - low) * 0.35 : Math.abs(high) * 0.1 || 1;
  // No room below 0 for what can't be negative, but enough for a point on the axis to be whole.
  return [low >= 0 ? Math.max(low - room, -0.04 * (high + room)) : low - room, high + room];
}

// What a person zoomed to stays until it is let go, also when the front grows.
const zooms = new Map();
function noteZoom(event) {
  const axes = chosenAxes();
  if (axes.length === 3) return;
  ["xaxis", "yaxis"].forEach((axis, k) => {
    const range = event[`${axis}.range`] || (`${axis}.range[0]` in event && [event[`${axis}.range[0]`], event[`${axis}.range[1]`]]);
    const whole = view(axes[k]) || [];
    if (event[`${axis}.autorange`] || (range && range.every((v, i) => v === whole[i]))) zooms.delete(axes[k]);
    else if (range) zooms.set(axes[k], [...range]);
  });
}

function drawFront() {
  const axes = chosenAxes();
  const titled = (metric) => ({
    title: { text: metric + arrow(metric) }, range: (axes.length < 3 && zooms.get(metric)) || view(metric),
  });
  const extra = axes.length === 3
    ? { margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: axes.join(), scene: Object.fromEntries(axes.map((metric, k) =>
        [`${"xyz"[k]}axis`, Object.assign({ gridcolor: colour("--line"), color: colour("--ink") }, titled(metric))])) }
    : { xaxis: titled(axes[0]), yaxis: titled(axes[1]), uirevision: axes.join(), margin: { l: 64, r: 12, t: 34, b: 48 } };
  const plot = element("front-plot");
  const narrow = window.innerWidth <= 640; // the buttons would lie over the legend
  Plotly.react(plot, traces(axes), layout(extra), Object.assign({}, config, narrow ? { displayModeBar: false } : {}));
  if (!plot.dataset.listens) {
    plot.dataset.listens = "yes";
    plot.on("plotly_relayout", noteZoom);
    plot.on("plotly_click", (event) => choose(event.points[0].customdata));
    plot.on("plotly_selected", (event) => {
      if (!event || !event.range || !event.range.x) return;
      const [x, y] = chosenAxes();
      page.filters.set(x, [[...event.range.x].sort((a, b) => a - b)]);
      page.filters.set(y, [[...event.range.y].sort((a, b) => a - b)]);
      Plotly.relayout(plot, { selections: [] });
      filtered();
    });
  }
}

page.points = () => element("front-plot").data.map((trace) => ({
  name: trace.name, candidates: Array.from(trace.customdata), x: Array.from(trace.x), y: Array.from(trace.y),
  z: trace.z ? Array.from(trace.z) : null,
}));

// The front over time ---------------------------------------------------------------------------------------------

function drawTime() {
  const fronts = page.study.fronts || [];
  const slider = element("time"), bar = element("time-bar");
  bar.hidden = !fronts.length || embedded !== null;
  const atEnd = slider.dataset.touched !== "yes" || Number(slider.value) >= Number(slider.max);
  slider.max = String(fronts.length);
  if (atEnd) slider.value = slider.max;
  element("time-text").textContent = Number(slider.value) < fronts.length
    ? `${whole(fronts[Number(slider.value)].told)} candidates` : `all ${whole(page.study.told)} candidates`;
}

async function moveTime() {
  const slider = element("time"), fronts = page.study.fronts || [];
  slider.dataset.touched = "yes";
  const past = fronts[Number(slider.value)];
  drawTime();
  if (!past) {
    page.past = null;
  } else {
    try { page.past = await ask(`api/studies/${encodeURIComponent(page.id)}/fronts/${past.told}`); } catch { page.past = null; }
    if (fronts[Number(slider.value)] !== past) return; // moved on meanwhile
  }
  drawFront();
}
