"use strict";
// Small charts over the run, the tiles above them, and which parameters mattered.
function line(id, ...what) {
  whenSeen(id, () => drawLine(element(id), ...what));
}

function drawLine(plot, x, y, title, tip, shape) {
  if (!x.length) {
    Plotly.purge(plot);
    return plot.replaceChildren(make("p", "Nothing yet.", null, "empty"));
  }
  if (plot.querySelector(".empty")) plot.replaceChildren();
  Plotly.react(plot, [{
    x, y, mode: x.length > 1 ? "lines" : "markers", line: { color: colour("--accent"), width: 2, shape }, fill: "tozeroy",
    fillcolor: `${colour("--accent")}22`, hovertemplate: tip,
  }], layout({
    margin: { l: 40, r: 8, t: 8, b: 38 }, showlegend: false,
    xaxis: { title: { text: title, font: { size: 11 } }, nticks: 5 }, yaxis: { rangemode: "tozero", nticks: 5 },
  }), Object.assign({}, config, { displayModeBar: false }));
}

function drawCharts() {
  const { front, series, fronts, told } = page.study;
  line("hypervolume-plot", front.history.candidates, front.history.hypervolume, "candidates",
    "%{y:.5g} after %{x} candidates<extra></extra>");
  element("size-card").hidden = !fronts;
  document.querySelectorAll(".third").forEach((card) => { card.style.gridColumn = fronts || window.innerWidth <= 1100 ? "" : "span 4"; });
  if (fronts) {
    line("size-plot", [...fronts.map((past) => past.told), told], [...fronts.map((past) => past.size), front.size], "candidates",
      "%{y} after %{x} candidates<extra></extra>");
  }
  const long = (series.seconds.at(-1) || 0) > 600;
  const time = series.seconds.map((s) => (long ? s / 60 : s));
  const unit = long ? "minutes of running" : "seconds of running";
  line("rate-plot", time, series.rate, unit, "%{y:.4g} a second<extra></extra>", "hv");
  line("workers-plot", time, series.workers, unit, "%{y} workers gave results<extra></extra>", "hv");
}

function tile(parent, name, text, small) {
  const box = make("div", undefined, parent);
  make("dt", name, box);
  const dd = make("dd", text, box);
  if (small) make("small", ` ${small}`, dd);
  return box;
}

function drawTiles() {
  const { front, progress, told } = page.study;
  const tiles = element("tiles");
  tiles.replaceChildren();
  const logged = progress ? progress.logged : told;
  const box = tile(tiles, "candidates", whole(logged), progress && progress.budget ? `of ${whole(progress.budget)}` : "");
  if (progress && progress.budget && progress.state === "running") {
    const bar = make("progress", undefined, box);
    bar.max = progress.budget;
    bar.value = logged;
    bar.setAttribute("aria-label", "candidates of the budget");
  }
  tile(tiles, "front", whole(front.size), front.size > front.candidate.length ? `${whole(front.candidate.length)} shown` : "");
  tile(tiles, "feasible", whole(front.feasible_count), logged ? `${Math.round((100 * front.feasible_count) / logged)} %` : "");
  tile(tiles, "hypervolume", front.hypervolume_text);
  if (progress && progress.state === "running") {
    tile(tiles, "evaluations a second", progress.rate === null ? "–" : short(Number(progress.rate.toPrecision(3))));
    tile(tiles, "workers", whole(progress.workers));
    tile(tiles, "time left", duration(progress.seconds_left));
  }
}

function drawFacts() {
  const { facts, folder, others } = page.study;
  const list = element("facts");
  list.replaceChildren();
  for (const [name, text] of Object.entries({ ...facts, folder })) {
    const fact = make("div", undefined, list);
    make("dt", name, fact);
    make("dd", text, fact);
  }
  const drawn = others.candidate.length + page.study.front.candidate.length;
  element("thinned").textContent = others.stride > 1
    ? `Off the front one candidate in ${whole(others.stride)} is drawn: ${whole(drawn)} of ${whole(page.study.told)} with the front. ` +
      "Numbers, front and hypervolume are of all candidates."
    : "";
}

function drawImportance() {
  const found = page.study.importance, box = element("importance"), note = element("importance-note");
  box.replaceChildren();
  note.textContent = "";
  if (!found) return make("p", "Too few candidates have been scored to tell.", box, "empty");
  const objective = element("importance-objective").value;
  const share = found.share[objective] || [], sign = found.correlation[objective] || [];
  const order = [...found.parameters.keys()].sort((a, b) => share[b] - share[a]);
  const most = Math.max(...share, 1e-9);
  const bars = make("div", undefined, box, "bars");
  const row = (k, parent) => {
    make("span", found.parameters[k], parent, "name");
    const bar = make("i", undefined, make("span", undefined, parent, "track"));
    bar.style.width = `${(100 * share[k]) / most}%`;
    make("span", `${(100 * share[k]).toFixed(1)} %  ${sign[k] >= 0.1 ? "↗" : sign[k] <= -0.1 ? "↘" : "·"}`, parent, "value");
  };
  order.slice(0, 10).forEach((k) => row(k, bars));
  if (order.length > 10) {
    const more = make("details", undefined, box);
    make("summary", `${order.length - 10} more`, more);
    const rest = make("div", undefined, more, "bars");
    order.slice(10).forEach((k) => row(k, rest));
  }
  note.textContent = `${found.measure}; over ${whole(found.candidates)} candidates of this study, which tried more where it expected ` +
    "good ones. ↗ a larger value goes with a larger metric, ↘ with a smaller one, · neither.";
}
