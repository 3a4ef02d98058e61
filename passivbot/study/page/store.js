"use strict";
// The study on the page: what the server sent, put together, and what a person chose. Columns by name.
const page = {
  study: null, // the server's answer, with `front` and `others` as they are now
  id: null,
  chosen: -1, // candidate whose details are shown
  past: null, // an earlier front, in place of the present one
  filters: new Map(), // metric or parameter → [[low, high], …]
};
window.page = page;
const embedded = JSON.parse(element("study-data").textContent);

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  let body = {};
  try { body = await answer.json(); } catch { /* the status says it */ }
  if (answer.ok) return body;
  const words = { 401: "not signed in: open Ray's dashboard and give it the token", 403: "not allowed: wrong token" };
  const error = new Error(body.error || words[answer.status] || `the server answered ${answer.status}`);
  error.status = answer.status;
  throw error;
}

const columns = (source) => [source.metrics, source.parameters || {}];

function append(to, from, pick) {
  for (const i of pick) {
    to.candidate.push(from.candidate[i]);
    if (to.feasible) to.feasible.push(from.feasible ? from.feasible[i] : 1);
    columns(to).forEach((table, k) => {
      for (const name of Object.keys(table)) table[name].push((columns(from)[k][name] || [])[i] ?? null);
    });
  }
}

function kept(source, keep) {
  const indices = [...source.candidate.keys()].filter(keep);
  const take = (values) => indices.map((i) => values[i]);
  const taken = Object.assign({}, source, { candidate: take(source.candidate) });
  if (source.feasible) taken.feasible = take(source.feasible);
  for (const kind of ["metrics", "parameters"]) {
    if (source[kind]) taken[kind] = Object.fromEntries(Object.entries(source[kind]).map(([n, v]) => [n, take(v)]));
  }
  return taken;
}

// Of members that the page has already only the numbers are sent.
function completed(front, old) {
  if (!front.sent || front.sent.length === front.candidate.length) return front;
  const sent = new Map(front.sent.map((candidate, i) => [candidate, i]));
  const had = new Map(old.candidate.map((candidate, i) => [candidate, i]));
  const column = (fresh, before) => front.candidate.map((candidate) =>
    (sent.has(candidate) ? fresh[sent.get(candidate)] : before[had.get(candidate)]));
  const table = (kind) => Object.fromEntries(Object.keys(front[kind]).map((name) => [name, column(front[kind][name], old[kind][name])]));
  return Object.assign({}, front, {
    metrics: table("metrics"), parameters: table("parameters"), violation: column(front.violation, old.violation),
  });
}

// Candidates off the front are sent once. Who left the front joins them; who is thinned out leaves.
function merge(answer) {
  const old = page.study;
  if (!old || !answer.others || !answer.others.first) {
    page.study = Object.assign({}, old || {}, answer);
  } else {
    const { stride } = answer.others;
    answer.front = completed(answer.front, old.front);
    const members = new Set(answer.front.candidate);
    const known = new Set(old.others.candidate);
    const others = Object.assign(kept(old.others, () => true), { stride });
    append(others, old.front, [...old.front.candidate.keys()].filter((i) =>
      old.front.feasible && !members.has(old.front.candidate[i]) && !known.has(old.front.candidate[i])));
    append(others, answer.others, answer.others.candidate.keys());
    const result = Object.assign({}, old, answer);
    result.others = kept(others, (i) => others.candidate[i] % stride === 0 && !members.has(others.candidate[i]));
    page.study = result;
  }
}

function value(source, name, i) {
  const [metrics, parameters] = columns(source);
  const column = metrics[name] || parameters[name];
  return column ? column[i] : null;
}

function passes(source, i) {
  for (const [name, ranges] of page.filters) {
    const v = value(source, name, i);
    if (v === null || !ranges.some(([low, high]) => v >= low && v <= high)) return false;
  }
  return true;
}

const arrow = (metric) => arrows[page.study.directions[metric]] || "";
const marked = (candidate) => page.study.front.marks[candidate] || "";
const paramOrder = () => {
  const found = page.study.importance;
  if (!found) return page.study.parameters;
  const score = (name) => {
    const k = found.parameters.indexOf(name);
    return k < 0 ? 0 : Math.max(...Object.values(found.share).map((values) => values[k]));
  };
  return [...page.study.parameters].sort((a, b) => score(b) - score(a));
};
