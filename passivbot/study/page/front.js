"use strict";
// The page of a front. All data stand in #study-data; `study.points()` tells what the front plot shows.
const study = JSON.parse(document.getElementById("study-data").textContent);
window.study = study;
const element = (id) => document.getElementById(id);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// plotly.js offers to upload a chart to its maker's cloud unless told not to.
const config = {
  responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d", "select2d"],
};
const front = study.front;
const others = study.others;
const arrow = (metric) => ({ "-1": " ↑", "1": " ↓" })[study.directions[metric]] || "";
const short = (value) => {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
};

function make(tag, text, parent, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  if (parent) parent.append(made);
  return made;
}

function layout(extra) {
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  const merged = Object.assign({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
    margin: { l: 64, r: 16, t: 12, b: 52 }, hovermode: "closest",
    legend: { orientation: "h", y: 1.06, x: 0 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--faint"), activecolor: colour("--accent") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
  }, extra);
  for (const key of ["xaxis", "yaxis"]) merged[key] = Object.assign({}, axis, merged[key]);
  return merged;
}

// Readable on the ground of either scheme at both ends, which no ready-made scale is.
const shades = () => dark.matches
  ? [[0, "#6f86e8"], [0.5, "#2fb5ae"], [1, "#fde725"]]
  : [[0, "#440154"], [0.5, "#21918c"], [1, "#8fb800"]];

// Front -------------------------------------------------------------------------------------------------------------

function hover(i) {
  const lines = [`<b>candidate ${front.candidate[i]}</b>`];
  const marked = study.marks[front.candidate[i]];
  if (marked) lines[0] += ` · ${marked}`;
  for (const metric of new Set([...study.objectives, ...study.limits.map((limit) => limit.metric)])) {
    lines.push(`${metric}${arrow(metric)} ${short(front.metrics[metric][i])}`);
  }
  if (front.violation[i]) lines.push(`violation ${short(front.violation[i])}`);
  return lines.join("<br>");
}

function traces() {
  const axes = ["x", "y", "z"].map((name) => element(`axis-${name}`).value).filter(Boolean);
  const type = axes.length === 3 ? "scatter3d" : "scattergl";
  const place = (source, indices) =>
    Object.fromEntries(axes.map((metric, k) => ["xyz"[k], indices.map((i) => source.metrics[metric][i])]));
  const drawn = [];
  if (element("show-others").checked) {
    for (const [feasible, name, symbol, opacity] of [[0, "breaks a limit", "x", 0.35], [1, "dominated", "circle", 0.5]]) {
      const indices = [...others.candidate.keys()].filter((i) => others.feasible[i] === feasible);
      if (!indices.length) continue;
      drawn.push({
        type, mode: "markers", name, ...place(others, indices), opacity,
        customdata: indices.map((i) => others.candidate[i]),
        marker: { size: axes.length === 3 ? 2 : 4, color: colour("--faint"), symbol },
        hovertemplate: `candidate %{customdata}<extra>${name}</extra>`,
      });
    }
  }
  const all = [...front.candidate.keys()];
  const by = element("colour").value;
  const shade = by === "candidate" ? front.candidate : by ? front.metrics[by] : null;
  const marker = { size: axes.length === 3 ? 4 : 8, color: colour("--accent") };
  if (shade) {
    Object.assign(marker, {
      color: shade, colorscale: shades(), showscale: true,
      colorbar: { title: { text: by, side: "right" }, thickness: 12, outlinewidth: 0 },
    });
  }
  drawn.push({
    type, mode: "markers", name: study.feasible ? "front" : "breaks the limits least", ...place(front, all), marker,
    customdata: front.candidate, text: all.map(hover), hovertemplate: "%{text}<extra></extra>",
  });
  const marked = all.filter((i) => study.marks[front.candidate[i]]);
  drawn.push({
    type, mode: "markers+text", name: "picks", ...place(front, marked), customdata: marked.map((i) => front.candidate[i]),
    text: marked.map((i) => study.marks[front.candidate[i]]), textposition: "top center",
    textfont: { color: colour("--mark") }, hoverinfo: "skip",
    marker: { size: axes.length === 3 ? 7 : 15, color: colour("--mark"), symbol: "circle-open", line: { width: 2 } },
  });
  return { axes, drawn };
}

// A few very bad candidates would squeeze the front into a corner: the first view is the front's, with some room.
function view(metric) {
  const values = front.metrics[metric].filter((v) => v !== null);
  if (!values.length) return undefined;
  const low = Math.min(...values), high = Math.max(...values);
  const room = high > low ? (high - low) * 0.35 : Math.abs(high) * 0.1 || 1;
  // No room below 0 for what can't be negative, but enough for a point on the axis to be whole.
  return [low >= 0 ? Math.max(low - room, -0.04 * (high + room)) : low - room, high + room];
}

function drawFront() {
  const { axes, drawn } = traces();
  const titled = (metric) => ({ title: { text: metric + arrow(metric) }, range: view(metric) });
  const extra = axes.length === 3
    ? { margin: { l: 0, r: 0, t: 0, b: 0 }, scene: Object.fromEntries(axes.map((metric, k) =>
        [`${"xyz"[k]}axis`, Object.assign({ gridcolor: colour("--line"), color: colour("--ink") }, titled(metric))])) }
    : { xaxis: titled(axes[0]), yaxis: titled(axes[1]) };
  Plotly.react("front-plot", drawn, layout(extra), config);
}

study.points = () => element("front-plot").data.map((trace) => ({
  name: trace.name, candidates: Array.from(trace.customdata), x: Array.from(trace.x), y: Array.from(trace.y),
  z: trace.z ? Array.from(trace.z) : null,
}));

// One candidate -----------------------------------------------------------------------------------------------------

function show(candidate) {
  const i = front.candidate.indexOf(candidate);
  const detail = element("detail");
  detail.replaceChildren();
  element("detail-number").textContent = i < 0 ? "" : candidate;
  element("detail-file").textContent = i < 0 ? "" : `front/${String(candidate).padStart(7, "0")}.json`;
  document.querySelectorAll("#front-table tbody tr").forEach((row) =>
    row.classList.toggle("chosen", row.dataset.candidate === String(candidate)));
  if (i < 0) return make("p", "Click a member of the front.", detail, "empty");
  for (const [title, names, values] of [["Metrics", study.metrics, front.metrics], ["Parameters", study.parameters, front.parameters]]) {
    make("h3", title, detail);
    const body = make("tbody", undefined, make("table", undefined, detail));
    for (const name of names) {
      const row = make("tr", undefined, body);
      make("td", name + arrow(name), row);
      make("td", title === "Metrics" ? short(values[name][i]) : String(values[name][i]), row);
    }
  }
}

// Hypervolume, parameters, table ------------------------------------------------------------------------------------

function drawHypervolume() {
  Plotly.react("hypervolume-plot", [{
    x: study.history.candidates, y: study.history.hypervolume, mode: "lines+markers", name: "hypervolume",
    line: { color: colour("--accent"), width: 2 }, marker: { size: 4 }, fill: "tozeroy",
    fillcolor: `${colour("--accent")}26`,
    hovertemplate: "%{y:.5g} after %{x} candidates<extra></extra>",
  }], layout({ xaxis: { title: { text: "candidates" } }, yaxis: { rangemode: "tozero" }, showlegend: false }), config);
}

function drawParallel() {
  const axes = [...study.objectives.map((m) => [m + arrow(m), front.metrics[m]]),
    ...study.parameters.map((p) => [p, front.parameters[p]])].filter(([, values]) => values.every((v) => v !== null));
  const plot = element("parallel-plot");
  plot.style.minWidth = `${Math.max(600, axes.length * 92)}px`;
  plot.style.height = "420px";
  if (front.candidate.length < 2 || !axes.length) {
    return plot.replaceChildren(make("p", "Two members are needed.", null, "empty"));
  }
  Plotly.react(plot, [{
    type: "parcoords", line: { color: axes[0][1], colorscale: shades() },
    dimensions: axes.map(([label, values]) => ({ label, values })), labelangle: -22, labelfont: { size: 11 },
    tickfont: { size: 10 }, rangefont: { size: 10, color: "rgba(0,0,0,0)" },
  }], layout({ margin: { l: 60, r: 60, t: 110, b: 20 } }), config);
}

let sorted = { column: 1, down: study.directions[study.objectives[0]] < 0 };
function drawTable() {
  const head = element("front-table").tHead, body = element("front-table").tBodies[0];
  const columns = ["candidate", ...study.metrics];
  const value = (i, c) => (c === 0 ? front.candidate[i] : front.metrics[columns[c]][i]);
  head.replaceChildren();
  const row = make("tr", undefined, head);
  columns.forEach((name, c) => {
    const cell = make("th", name + arrow(name) + (c === sorted.column ? (sorted.down ? " ▾" : " ▴") : ""), row);
    cell.onclick = () => { sorted = { column: c, down: c === sorted.column && !sorted.down }; drawTable(); };
  });
  make("th", "", row);
  const sign = sorted.down ? -1 : 1;
  const rank = (i) => { const v = value(i, sorted.column); return v === null ? Number.MAX_VALUE : sign * v; };
  body.replaceChildren();
  for (const i of [...front.candidate.keys()].sort((a, b) => rank(a) - rank(b) || a - b)) {
    const line = make("tr", undefined, body);
    line.dataset.candidate = front.candidate[i];
    line.onclick = () => show(front.candidate[i]);
    columns.forEach((_, c) => make("td", c === 0 ? String(value(i, c)) : short(value(i, c)), line));
    make("td", study.marks[front.candidate[i]] || "", line, "mark");
  }
}

function draw() { drawFront(); drawHypervolume(); drawParallel(); }

// Start -------------------------------------------------------------------------------------------------------------

document.title = `${study.name} – front`;
element("study-name").textContent = study.name;
element("headline").textContent = study.headline;
for (const [name, value] of Object.entries(study.facts)) {
  const fact = make("div", undefined, element("facts"));
  make("dt", name, fact);
  make("dd", value, fact);
}
const names = [...study.objectives, ...study.metrics.filter((m) => !study.objectives.includes(m))];
for (const [id, chosen, none] of [["axis-x", names[0]], ["axis-y", names[1] || names[0]],
  ["axis-z", "", true], ["colour", study.objectives[2] || "candidate", true]]) {
  const select = element(id);
  if (none) select.add(new Option("–", ""));
  if (id === "colour") select.add(new Option("candidate", "candidate"));
  for (const name of names) select.add(new Option(name, name));
  select.value = chosen;
  select.onchange = drawFront;
}
element("show-others").onchange = drawFront;
draw();
drawTable();
show(study.chosen);
element("front-plot").on("plotly_click", (event) => show(event.points[0].customdata));
dark.addEventListener("change", draw);
