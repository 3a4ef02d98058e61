"use strict";
// What every part of the page uses: elements, numbers for people, colours, the look of a chart.
const element = (id) => document.getElementById(id);
const arrows = { "-1": " ↑", "1": " ↓" };

function make(tag, text, parent, name) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (name) made.className = name;
  if (parent) parent.append(made);
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}
const brief = (value) => (value === null ? "–" : short(Number(value.toPrecision(3))));
const whole = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US"));

function duration(seconds) {
  if (seconds === null || seconds === undefined || !isFinite(seconds)) return "–";
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.round(hours / 24)} days`;
  if (hours) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s` : `${Math.round(seconds)} s`;
}

// Colours ---------------------------------------------------------------------------------------------------------

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
// Inside Ray's dashboard its own choice counts, which it remembers under this name.
function outerDark() {
  try {
    const ray = window === window.top ? null : localStorage.getItem("themeMode");
    return ray ? ray === "dark" : systemDark.matches;
  } catch { return systemDark.matches; }
}
const theme = {
  // A page inside another one may not be allowed to remember anything.
  choice: (() => { try { return localStorage.getItem("passivbot-theme") || "auto"; } catch { return "auto"; } })(),
  get dark() { return this.choice === "auto" ? outerDark() : this.choice === "dark"; },
  apply() {
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
    const words = { auto: "as the system", light: "light", dark: "dark" };
    element("theme").textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[this.choice];
    element("theme").setAttribute("aria-label", `Colours: ${words[this.choice]}`);
  },
  next() {
    this.choice = { auto: "light", light: "dark", dark: "auto" }[this.choice];
    try { localStorage.setItem("passivbot-theme", this.choice); } catch { /* as above */ }
    this.apply();
  },
};
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// Readable on the ground of either scheme at both ends, which no ready-made scale is.
const shades = () => theme.dark
  ? [[0, "#6f86e8"], [0.5, "#2fb5ae"], [1, "#fde725"]]
  : [[0, "#440154"], [0.5, "#21918c"], [1, "#8fb800"]];

// What is not on the screen is drawn when it comes there: a live page has much to draw every two seconds.
const later = new Map(); // id of the element → what draws it
function whenSeen(id, drawIt) {
  const box = element(id).getBoundingClientRect();
  const near = box.top < window.innerHeight + 300 && box.bottom > -300;
  if (!near) return later.set(id, drawIt);
  later.delete(id);
  return drawIt();
}
let looking = false;
function look() {
  if (looking) return;
  looking = true;
  requestAnimationFrame(() => {
    looking = false;
    for (const [id, drawIt] of [...later]) whenSeen(id, drawIt);
  });
}
for (const name of ["scroll", "resize"]) window.addEventListener(name, look, { passive: true });

// Charts ----------------------------------------------------------------------------------------------------------

// plotly.js offers to upload a chart to its maker's cloud unless told not to.
const config = {
  responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["lasso2d"], displayModeBar: "hover",
};

function layout(extra) {
  const axis = {
    gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true,
  };
  const merged = Object.assign({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 12 },
    margin: { l: 56, r: 12, t: 10, b: 44 }, hovermode: "closest",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--faint"), activecolor: colour("--accent") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line-strong"), font: { color: colour("--ink") } },
  }, extra);
  for (const key of ["xaxis", "yaxis"]) merged[key] = Object.assign({}, axis, merged[key]);
  return merged;
}
