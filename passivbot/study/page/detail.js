"use strict";
// One candidate: what the page has of it at once, then what the server adds.
let asked = 0; // the newest request, so that a slow answer to an older one is dropped

function localFacts(candidate) {
  const { front, others, limits } = page.study;
  const at = front.candidate.indexOf(candidate);
  const source = at >= 0 ? front : others, i = at >= 0 ? at : others.candidate.indexOf(candidate);
  if (i < 0) return null;
  const row = (table) => Object.fromEntries(Object.entries(table || {}).map(([name, values]) => [name, values[i]]));
  return {
    candidate, member: at >= 0 && front.feasible, members: front.candidate.length, metrics: row(source.metrics),
    parameters: row(source.parameters),
    ranks: at >= 0 ? Object.fromEntries(Object.entries(front.ranks).map(([name, ranks]) => [name, ranks[at]])) : {},
    limits: limits.map((limit) => {
      const v = source.metrics[limit.metric][i];
      const room = v === null ? null : limit.kind === "greater" ? limit.value - v : v - limit.value;
      return {
        key: limit.key, metric: limit.metric, kind: limit.kind, limit: limit.value, value: v, kept: room !== null && room >= 0,
        margin: room === null || limit.value === 0 ? null : room / Math.abs(limit.value),
      };
    }),
    promote: page.study.promote.replaceAll("CANDIDATE", String(candidate)),
    file: `front/${String(candidate).padStart(7, "0")}.json`, unseen: (page.study.unseen || {})[candidate] || null,
  };
}

const base = (candidate) => `api/studies/${encodeURIComponent(page.id)}/candidates/${candidate}`;

async function choose(candidate) {
  page.chosen = candidate;
  if (embedded === null) history.replaceState(null, "", `#${page.id}/${candidate}`);
  showDetail();
  drawFront();
  markRow();
}

async function showDetail() {
  const mine = ++asked, candidate = page.chosen;
  const local = candidate >= 0 ? localFacts(candidate) : null;
  element("detail-number").textContent = candidate < 0 ? "" : candidate;
  if (candidate < 0) {
    return element("detail").replaceChildren(make("p", "Click a point, or a row of the table below.", null, "empty"));
  }
  if (local) renderDetail(local, null);
  else element("detail").replaceChildren(make("p", "Asking …", null, "empty"));
  if (embedded !== null) return;
  try {
    const facts = await ask(base(candidate));
    if (mine === asked) renderDetail(facts, facts.replay);
  } catch (error) {
    if (mine === asked && !local) element("detail").replaceChildren(make("p", error.message, null, "empty"));
  }
}

function heading(text, parent) { return make("h3", text, parent); }

function table(parent, rows) {
  const body = make("tbody", undefined, make("table", undefined, parent));
  for (const cells of rows) {
    const line = make("tr", undefined, body);
    for (const cell of cells) {
      const td = make("td", undefined, line);
      if (typeof cell === "object" && cell) td.append(cell);
      else String(cell ?? "").split(/(?<=_)/).forEach((part, i) => td.append(...(i ? [make("wbr"), part] : [part])));
    }
  }
}

function renderDetail(facts, replay) {
  const detail = element("detail"), scrolled = detail.scrollTop;
  detail.replaceChildren();
  const badges = make("div", undefined, detail, "badges");
  make("span", facts.member ? "on the front" : facts.status === "stopped" ? "stopped early" : "not on the front", badges, "badge");
  if (marked(facts.candidate)) make("span", marked(facts.candidate), badges, "badge mark");
  if (facts.limits.length) {
    const kept = facts.limits.every((limit) => limit.kept);
    make("span", kept ? "keeps all limits" : "breaks a limit", badges, `badge ${kept ? "good" : "bad"}`);
  }
  if (facts.unseen) {
    make("span", `unseen candles: ${facts.unseen.verdict.split(":")[0]}`, badges, `badge ${facts.unseen.holds ? "good" : "bad"}`);
  }

  heading("Promote it", detail);
  const command = make("div", undefined, detail, "command");
  const code = make("code", undefined, command);
  code.id = "promote";
  for (const word of facts.promote.split(" ")) {
    make("span", word, code, word.startsWith("--") ? "whole" : "");
    code.append(" ");
  }
  const copy = make("button", "Copy", command);
  copy.type = "button";
  copy.id = "copy";
  copy.onclick = async () => { copy.textContent = (await copied(facts.promote)) ? "Copied" : "Select and copy"; };

  heading("Objectives", detail);
  const metricRow = (name) => [name + arrow(name), short(facts.metrics[name])];
  table(detail, page.study.objectives.map(metricRow));

  if (facts.limits.length) {
    heading("Limits", detail);
    table(detail, facts.limits.map((limit) => {
      const left = limit.margin === null ? (limit.kept ? "kept" : "broken")
        : limit.kept ? `${(100 * limit.margin).toFixed(0)} % left` : `broken by ${(-100 * limit.margin).toFixed(0)} %`;
      const words = make("span", left, null, limit.kept ? "good" : "bad");
      words.style.whiteSpace = "nowrap";
      const bound = make("span", `${brief(limit.value)} `);
      bound.style.whiteSpace = "nowrap";
      make("span", `${limit.kind === "lower" ? "≥" : "≤"} ${brief(limit.limit)}`, bound, "soft");
      return [limit.metric, bound, words];
    }));
  }

  heading("Equity", detail);
  renderEquity(make("div", undefined, detail), facts, replay);
  heading("Why trust it", detail);
  renderTrust(make("ul", undefined, detail), facts, replay);

  if (Object.keys(facts.ranks).length) {
    heading(`Rank among ${whole(facts.members)} members`, detail);
    table(detail, Object.entries(facts.ranks).map(([name, rank]) => {
      const word = make("span", name);
      word.title = page.study.methods[name] || "";
      return [word, whole(rank)];
    }));
  }

  const rest = page.study.metrics.filter((name) => !page.study.objectives.includes(name));
  if (rest.length) {
    heading("Other metrics", detail);
    table(detail, rest.map(metricRow));
  }
  heading("Parameters", detail);
  table(detail, page.study.parameters.map((name) => [name, parameter(name, facts.parameters[name])]));
  renderConfig(detail, facts);
  detail.scrollTop = scrolled;
}

function parameter(name, v) {
  const box = make("span", String(v));
  const [low, high] = page.study.bounds[name] || [0, 0];
  if (high > low && v !== null) {
    const bar = make("span", undefined, box, "where");
    bar.title = `${low} … ${high}`;
    make("i", undefined, bar).style.left = `${Math.min(100, Math.max(0, (100 * (v - low)) / (high - low)))}%`;
  }
  return box;
}

function renderEquity(box, facts, replay) {
  if (embedded !== null) {
    return make("p", `passivbot pareto ${embedded.name} --serve computes it, where the candles are.`, box, "soft small");
  }
  if (replay && replay.time_ms) {
    const plot = make("div", undefined, box, "plot");
    plot.id = "equity-plot";
    const time = replay.time_ms.map((ms) => new Date(ms));
    return Plotly.newPlot(plot, [
      { x: time, y: replay.balance, name: "balance", mode: "lines", line: { color: colour("--faint"), width: 1.5, shape: "hv" } },
      { x: time, y: replay.equity, name: "equity", mode: "lines", line: { color: colour("--accent"), width: 1.5 } },
    ], layout({ margin: { l: 48, r: 8, t: 24, b: 30 }, yaxis: { title: { text: "USD", font: { size: 11 } } }, xaxis: { nticks: 5 } }),
    Object.assign({}, config, { displayModeBar: false }));
  }
  if (facts.candles && !facts.candles.here) {
    return make("p", `The candles (${facts.candles.place}) are not on the machine of this page, so no curve can be computed here.`,
      box, "soft small");
  }
  const button = make("button", "Run the backtest", box);
  button.type = "button";
  button.id = "run-equity";
  const words = make("p", undefined, box, "soft small");
  button.onclick = async () => {
    button.disabled = true;
    words.textContent = "Running …";
    try {
      const found = await ask(`${base(facts.candidate)}/equity`);
      if (page.chosen === facts.candidate) renderDetail(facts, found);
    } catch (error) {
      words.textContent = error.message;
      words.className = "bad small";
      button.disabled = false;
    }
  };
}

function renderTrust(list, facts, replay) {
  const item = (text, name) => make("li", text, list, name);
  if (facts.unseen) {
    const { days, first_ms: first, last_ms: last, metrics, verdict, holds } = facts.unseen;
    const day = (ms) => new Date(ms).toISOString().slice(0, 10);
    const there = Object.entries(metrics).map(([name, v]) => `${name} ${short(facts.metrics[name])} → ${short(v)}`);
    item(`unseen candles, ${day(first)} to ${day(last)}, ${days} days: ${verdict}; ${there.join(", ")}`, holds ? "yes" : "no");
  } else {
    item(`chosen on these candles; how it does on others is not known: passivbot study unseen ${page.study.name}`);
  }
  if (replay) {
    const same = !replay.deviations.length;
    item(same ? `run again here: all ${replay.metrics} metrics equal to the log, to the bit; ${whole(replay.fills)} fills`
      : `run again here: ${replay.deviations.length} of ${replay.metrics} metrics differ: ${replay.deviations[0]}`, same ? "yes" : "no");
  } else {
    item("not run again on this page yet: whether its metrics repeat to the bit is not known here");
  }
  if (facts.limits.length) {
    const broken = facts.limits.filter((limit) => !limit.kept);
    const margins = facts.limits.map((limit) => limit.margin).filter((m) => m !== null);
    item(broken.length ? `breaks ${broken.map((limit) => limit.key).join(", ")}`
      : `keeps all ${facts.limits.length} limits${margins.length ? `, the tightest with ${(100 * Math.min(...margins)).toFixed(0)} % left` : ""}`,
    broken.length ? "no" : "yes");
  } else {
    item("the study has no limits");
  }
  if (facts.engine) {
    const same = facts.engine.study === facts.engine.here;
    item(`engine ${facts.engine.study}${same ? ", the one installed here" : `; installed here is ${facts.engine.here}`}`, same ? "yes" : "no");
  }
  if (facts.candles) {
    const { coins, first_ms: first, last_ms: last, digest, interval_minutes: bar, place } = facts.candles;
    const day = (ms) => (ms ? new Date(ms).toISOString().slice(0, 10) : "?");
    item(`candles: ${coins.join(", ")}; ${day(first)} to ${day(last)}, ${bar} min a bar; ${place}; digest ${digest}`);
  }
  if (facts.logged) {
    item(`logged ${new Date(facts.logged * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC by ${facts.worker || "a worker"}, ` +
      `${short(facts.seconds)} s in the engine`);
  }
}

function renderConfig(detail, facts) {
  if (embedded !== null) return make("p", `Configuration: ${facts.file}`, detail, "soft small").id = "detail-file";
  const more = make("details", undefined, detail);
  more.id = "configuration";
  make("summary", "Configuration", more);
  const link = make("a", `Download ${facts.file.split("/")[1]}`, more, "small");
  link.href = `${base(facts.candidate)}/config`;
  link.download = facts.file.split("/")[1];
  const text = make("pre", "…", more);
  more.ontoggle = async () => {
    if (!more.open || text.textContent !== "…") return;
    try {
      text.textContent = JSON.stringify(await ask(`${base(facts.candidate)}/config`), null, 2);
    } catch (error) { text.textContent = error.message; }
  };
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Where the clipboard is kept from the page (an address that is not this machine's, without TLS).
    const range = document.createRange();
    range.selectNodeContents(element("promote"));
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    try { return document.execCommand("copy"); } catch { return false; }
  }
}

// Members ---------------------------------------------------------------------------------------------------------

const sorting = { column: null, down: false };
let rowOrder = [];

function drawTable() {
  const { front, metrics, objectives, directions } = page.study;
  if (sorting.column === null) Object.assign(sorting, { column: objectives[0], down: directions[objectives[0]] < 0 });
  const head = element("front-table").tHead, body = element("front-table").tBodies[0];
  const names = ["candidate", ...metrics];
  const cell = (i, name) => (name === "candidate" ? front.candidate[i] : front.metrics[name][i]);
  head.replaceChildren();
  const line = make("tr", undefined, head);
  for (const name of names) {
    const th = make("th", undefined, line);
    const mark = name === sorting.column ? (sorting.down ? " ▾" : " ▴") : "";
    const button = make("button", name + arrow(name) + mark, th);
    button.type = "button";
    if (mark) th.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    button.onclick = () => {
      Object.assign(sorting, { down: name === sorting.column && !sorting.down, column: name });
      drawTable();
    };
  }
  make("th", "", line);
  const sign = sorting.down ? -1 : 1;
  const rank = (i) => { const v = cell(i, sorting.column); return v === null ? Number.MAX_VALUE : sign * v; };
  const shown = [...front.candidate.keys()].filter((i) => passes(front, i)).sort((a, b) => rank(a) - rank(b) || a - b);
  rowOrder = shown.map((i) => front.candidate[i]);
  const rows = shown.map((i) => {
    const row = make("tr");
    row.dataset.candidate = front.candidate[i];
    row.tabIndex = 0;
    row.onclick = () => choose(front.candidate[i]);
    names.forEach((name) => make("td", name === "candidate" ? String(front.candidate[i]) : short(cell(i, name)), row));
    make("td", marked(front.candidate[i]), row, "mark");
    return row;
  });
  body.replaceChildren(...rows);
  element("members-hint").textContent = `${whole(rows.length)} shown; a click or Enter on a row opens it, ↑ and ↓ move.`;
  markRow();
}

function markRow() {
  document.querySelectorAll("#front-table tbody tr").forEach((row) =>
    row.classList.toggle("chosen", row.dataset.candidate === String(page.chosen)));
}

function step(by) {
  if (!rowOrder.length) return;
  const at = rowOrder.indexOf(page.chosen);
  choose(rowOrder[at < 0 ? 0 : (at + by + rowOrder.length) % rowOrder.length]);
}

function tableKeys(event) {
  const row = event.target.closest("tr[data-candidate]");
  if (!row) return;
  if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(Number(row.dataset.candidate)); }
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
  if (next) { event.preventDefault(); next.focus(); }
}
