"use strict";
// What is shown when: the list, a study that is being read, a study; and when the server is asked again.
const LIVE_MS = 2000, IDLE_MS = 15000;
let timer = null, stamped = -1, pressed = false, waiting = false, round = 0;

function show(name) {
  for (const id of ["list-view", "reading-view", "study-view"]) element(id).hidden = id !== name;
  element("crumb").hidden = name === "list-view";
}

function say(text) {
  element("notice").hidden = !text;
  element("notice").textContent = text || "";
}

function pill(name, text) {
  element("state").className = `pill ${name}`;
  element("state").textContent = text;
}

function fill(select, names, first) {
  const before = select.value;
  select.replaceChildren(...first.map(([text, v]) => new Option(text, v)), ...names.map((name) => new Option(name, name)));
  if ([...select.options].some((option) => option.value === before) && select.dataset.filled === page.id) select.value = before;
  else select.selectedIndex = 0;
  select.dataset.filled = page.id;
}

function prepareControls() {
  const { metrics, objectives, parameters } = page.study;
  const fresh = element("axis-x").dataset.filled !== page.id;
  fill(element("axis-x"), metrics, []);
  fill(element("axis-y"), metrics, []);
  fill(element("axis-z"), metrics, [["–", ""]]);
  fill(element("colour"), metrics, [["–", ""], ["candidate", "candidate"]]);
  fill(element("importance-objective"), objectives, []);
  fill(element("filter-name"), [...metrics, ...parameters], []);
  if (!fresh) return;
  element("axis-y").value = objectives[1] || metrics[1] || metrics[0];
  element("colour").value = objectives[2] || "candidate";
}

function draw() {
  drawTiles();
  drawFacts();
  drawTime();
  drawFront();
  drawCharts();
  whenSeen("parallel-plot", drawParallel);
  drawImportance();
  drawTable();
  drawChips();
}

function drawStudy(first) {
  const { name, front, progress } = page.study;
  show("study-view");
  document.title = `${name} – passivbot`;
  element("study-name").textContent = element("crumb-name").textContent = name;
  element("headline").textContent = front.headline;
  if (progress) pill(progress.state, progress.state === "running" ? "running" : progress.state);
  prepareControls();
  if (first) {
    if (page.chosen < 0) page.chosen = front.chosen;
    showDetail();
  }
  draw();
}

// Asking the server -----------------------------------------------------------------------------------------------

async function tick() {
  clearTimeout(timer);
  const mine = round, started = performance.now();
  let pause = IDLE_MS;
  try {
    pause = page.id ? await tickStudy(mine) : await tickList(mine);
    if (mine !== round) return;
    say("");
  } catch (error) {
    if (mine !== round) return;
    const gone = error.status === 404 && page.id;
    pill(gone ? "unreadable" : "lost", gone ? "not here" : "no connection");
    say(gone ? error.message : error.status ? error.message
      : "The server of this page does not answer. It ends with the program that started it; `passivbot pareto STUDY --serve` shows a study " +
        "at any time.");
    if (!page.study && !element("list").children.length) show("list-view");
    pause = 4000;
  }
  // A slow server or line is asked less often.
  timer = setTimeout(tick, document.hidden ? IDLE_MS : Math.max(pause, 5 * (performance.now() - started)));
}

async function tickList(mine) {
  const { studies } = await ask("api/studies");
  if (mine !== round) return IDLE_MS;
  pill("", "");
  drawList(studies);
  show("list-view");
  if (studies.length === 1 && page.first) { page.first = false; location.hash = studies[0].id; return LIVE_MS; }
  page.first = false;
  return studies.some((card) => card.state === "running") ? LIVE_MS : 5000;
}

async function tickStudy(mine) {
  const query = stamped >= 0 && page.study ? `?after=${page.study.told - 1}&stamp=${stamped}` : "";
  const answer = await ask(`api/studies/${encodeURIComponent(page.id)}${query}`);
  if (mine !== round) return IDLE_MS;
  if (answer.reading) {
    show("reading-view");
    element("reading").value = answer.reading.told / Math.max(1, answer.reading.last);
    element("reading-text").textContent = `Reading the log: ${whole(answer.reading.told)} of ${whole(answer.reading.last)} candidates`;
    return 0;
  }
  const first = stamped < 0 || !page.study;
  if (answer.front) {
    if (page.study && answer.identity !== page.study.identity) { // another study under this name: begin anew
      stamped = -1;
      page.study = null;
      return 0;
    }
    merge(answer);
    stamped = answer.stamp;
    if (pressed) waiting = true; // not under somebody's hands
    else drawStudy(first);
  } else {
    page.study.progress = answer.progress;
    drawTiles();
    if (answer.progress) pill(answer.progress.state, answer.progress.state);
  }
  return answer.progress && answer.progress.state === "running" ? LIVE_MS : IDLE_MS;
}

function follow() {
  const [id, candidate] = decodeURIComponent(location.hash.slice(1)).split("/");
  const number = candidate === undefined ? -1 : Number(candidate);
  if ((id || null) === page.id && page.study) {
    if (number >= 0 && number !== page.chosen) choose(number);
    return;
  }
  round += 1;
  Object.assign(page, { id: id || null, study: null, chosen: Number.isInteger(number) ? number : -1, past: null });
  page.filters.clear();
  zooms.clear();
  Object.assign(sorting, { column: null });
  element("time").dataset.touched = "";
  stamped = -1;
  if (page.id) {
    show("reading-view");
    element("reading").removeAttribute("value");
    element("reading-text").textContent = "Opening the study …";
    element("crumb-name").textContent = page.id;
  } else {
    document.title = "Studies – passivbot";
  }
  tick();
}

// Start -----------------------------------------------------------------------------------------------------------

function start() {
  theme.apply();
  for (const id of ["axis-x", "axis-y", "axis-z", "colour", "show-others", "show-infeasible"]) element(id).onchange = drawFront;
  element("parallel-axes").onchange = drawParallel;
  element("importance-objective").onchange = drawImportance;
  element("filter-form").onsubmit = applyForm;
  element("time").oninput = moveTime;
  element("previous").onclick = () => step(-1);
  element("next").onclick = () => step(1);
  element("front-table").addEventListener("keydown", tableKeys);
  const recolour = () => { theme.apply(); if (page.study) { draw(); showDetail(); } };
  element("theme").onclick = () => { theme.next(); recolour(); };
  systemDark.addEventListener("change", recolour);
  window.addEventListener("storage", recolour); // changed in Ray's bar, or on this page in another window
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width && page.study) { width = window.innerWidth; whenSeen("parallel-plot", drawParallel); }
  });
  window.addEventListener("pointerdown", () => { pressed = true; });
  for (const name of ["pointerup", "pointercancel"]) {
    window.addEventListener(name, () => {
      pressed = false;
      if (waiting) { waiting = false; setTimeout(() => drawStudy(false), 300); }
    });
  }
  if (embedded !== null) {
    page.id = "embedded";
    merge(embedded);
    element("to-list").removeAttribute("href");
    element("to-list").textContent = "passivbot";
    return drawStudy(true);
  }
  page.first = !location.hash; // a study that is alone need not be chosen
  window.addEventListener("hashchange", follow);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  follow();
}

if (embedded === null) window.addEventListener("DOMContentLoaded", start); // plotly.js is deferred until then
else start();
