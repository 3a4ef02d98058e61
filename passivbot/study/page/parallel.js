"use strict";
// Parallel coordinates of the front; ranges kept on its axes, in the scatter and in the form are one set of filters.
function parallelAxes() {
  const count = Number(element("parallel-axes").value);
  const parameters = count ? paramOrder().slice(0, count) : page.study.parameters;
  const filtersElsewhere = [...page.filters.keys()].filter((name) => page.study.parameters.includes(name));
  return [...page.study.objectives, ...new Set([...parameters, ...filtersElsewhere])];
}

// Where the names would run into each other they are cut; the whole name is in the form below and in the details.
const clipped = (name) => (name.length > 24 ? `${name.slice(0, 23)}…` : name);

function drawParallel() {
  const { front } = page.study, plot = element("parallel-plot");
  const axes = parallelAxes().filter((name) => [...front.candidate.keys()].every((i) => value(front, name, i) !== null));
  const room = Math.max(plot.parentElement.clientWidth - 4, axes.length * 96);
  plot.style.width = `${room}px`;
  plot.style.height = "400px";
  if (front.candidate.length < 2 || !axes.length) {
    Plotly.purge(plot);
    return plot.replaceChildren(make("p", "Two members are needed.", null, "empty"));
  }
  if (plot.querySelector(".empty")) plot.replaceChildren();
  const dimensions = axes.map((name) => {
    const values = front.candidate.map((_, i) => value(front, name, i));
    const low = Math.min(...values), high = Math.max(...values);
    const dimension = { label: clipped(name) + arrow(name), name, values, range: high > low ? [low, high] : [low - 1, high + 1] };
    if (page.filters.has(name)) dimension.constraintrange = page.filters.get(name);
    return dimension;
  });
  const first = front.metrics[page.study.objectives[0]];
  Plotly.react(plot, [{
    type: "parcoords", dimensions, labelangle: -20, labelfont: { size: 11 }, tickfont: { size: 10, color: colour("--soft") },
    rangefont: { size: 1, color: "rgba(0,0,0,0)" }, line: { color: first, colorscale: shades() },
    unselected: { line: { color: colour("--line-strong"), opacity: 0.25 } },
  }], layout({ width: room, height: 400, margin: { l: 60, r: 60, t: 92, b: 16 } }),
  Object.assign({}, config, { responsive: false, displayModeBar: false }));
  if (!plot.dataset.listens) {
    plot.dataset.listens = "yes";
    plot.on("plotly_restyle", readBrushes);
  }
}

function readBrushes() {
  for (const { name, constraintrange } of element("parallel-plot").data[0].dimensions) {
    if (!name) continue;
    if (!constraintrange || !constraintrange.length) page.filters.delete(name);
    else page.filters.set(name, Array.isArray(constraintrange[0]) ? constraintrange.map((r) => [...r]) : [[...constraintrange]]);
  }
  filtered(true);
}

function filtered(fromParallel) {
  drawFront();
  drawTable();
  drawChips();
  if (!fromParallel) drawParallel();
}

function drawChips() {
  const box = element("filters");
  box.replaceChildren();
  for (const [name, ranges] of page.filters) {
    const words = ranges.map(([low, high]) => `${short(low)} … ${short(high)}`).join(" or ");
    const chip = make("button", `${name} ${words} ✕`, box);
    chip.type = "button";
    chip.setAttribute("aria-label", `Let go of ${name} ${words}`);
    chip.onclick = () => { page.filters.delete(name); filtered(); };
  }
  if (page.filters.size) {
    const { front } = page.study;
    const left = [...front.candidate.keys()].filter((i) => passes(front, i)).length;
    make("span", `${left} of ${front.candidate.length} members`, box, "soft small");
  }
}

function applyForm(event) {
  event.preventDefault();
  const name = element("filter-name").value;
  const bound = (id, none) => (element(id).value === "" ? none : Number(element(id).value));
  const values = page.study.front.candidate.map((_, i) => value(page.study.front, name, i)).filter((v) => v !== null);
  const low = bound("filter-low", Math.min(...values)), high = bound("filter-high", Math.max(...values));
  page.filters.set(name, [[Math.min(low, high), Math.max(low, high)]]);
  filtered();
}
