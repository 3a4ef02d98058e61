"use strict";
// Adds the item "Pareto" to the bar of Ray's dashboard; it lays the page of studies over what is below the bar.
(() => {
  // Ray's router knows this address as its overview, with a query that it ignores. One of our own would make it
  // draw nothing, not even the bar.
  const ADDRESS = "#/overview?pareto";
  const opened = () => location.hash.startsWith(ADDRESS);
  let item = null, frame = null, tries = 0;

  function lastLink() {
    const links = document.querySelectorAll('nav a[href^="#/"]');
    return [...links].filter((link) => link !== item && link.textContent.trim() && !link.querySelector("img")).at(-1);
  }

  function add() {
    const last = lastLink();
    if (!last || (item && item.isConnected)) return;
    const box = last.parentElement.cloneNode(true);
    item = box.querySelector("a");
    item.textContent = "Pareto";
    item.href = ADDRESS;
    item.id = "passivbot-pareto";
    last.parentElement.after(box);
    // One item more than Ray made room for.
    const style = document.createElement("style");
    style.textContent = '@media (max-width: 1500px) { nav p > a[href^="#/"] { margin-right: 28px !important; } }';
    box.append(style);
  }

  function show() {
    if (!item) return;
    const bar = item.closest("nav");
    if (!opened()) {
      if (frame) frame.hidden = true;
      document.documentElement.style.overflow = "";
      paint(bar, false);
      return;
    }
    if (!frame) {
      frame = document.createElement("iframe");
      frame.id = "passivbot-frame";
      frame.title = "Pareto: the studies of this cluster";
      frame.src = "pareto/";
      Object.assign(frame.style, {
        position: "fixed", left: 0, right: 0, bottom: 0, width: "100%", border: 0, zIndex: 1000, background: "Canvas",
      });
      document.body.append(frame);
    }
    const top = Math.max(0, bar.getBoundingClientRect().bottom);
    Object.assign(frame.style, { top: `${top}px`, height: `calc(100% - ${top}px)` });
    frame.hidden = false;
    document.documentElement.style.overflow = "hidden"; // the page scrolls by itself
    paint(bar, true);
  }

  // The colours of the bar: ours as the open one, Ray's overview as one that is not.
  function paint(bar, open) {
    const links = [...bar.querySelectorAll('p a[href^="#/"]')].filter((link) => link !== item);
    const overview = links.find((link) => link.getAttribute("href") === "#/overview");
    for (const link of [item, overview]) if (link) link.style.color = "";
    if (!open || !overview || links.length < 2) return;
    const chosen = getComputedStyle(overview).color, other = getComputedStyle(links.at(-1)).color;
    if (chosen === other) { // the overview has not been drawn yet
      if (tries++ < 20) setTimeout(renew, 250);
      return;
    }
    item.style.color = chosen;
    overview.style.color = other;
  }

  function renew() {
    try {
      add();
      if (item) show();
    } catch (error) {
      console.warn("passivbot: the item of the bar does not work:", error);
      watcher.disconnect();
    }
  }

  let due = false;
  const watcher = new MutationObserver(() => {
    // Ray's router tells nobody where it goes; what it draws then is seen here.
    const shown = Boolean(frame) && !frame.hidden;
    if (due || (item && item.isConnected && shown === opened())) return;
    due = true;
    requestAnimationFrame(() => { due = false; renew(); });
  });
  document.addEventListener("DOMContentLoaded", () => {
    watcher.observe(document.body, { childList: true, subtree: true });
    renew();
  });
  for (const name of ["hashchange", "popstate", "resize"]) window.addEventListener(name, () => setTimeout(renew));
})();
