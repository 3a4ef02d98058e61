"use strict";
// The list of studies.
function drawList(studies) {
  const list = element("list");
  element("list-hint").textContent = studies.length ? "" : "None yet. `passivbot optimize` makes one; it appears here by itself.";
  const items = studies.map((card) => {
    const item = document.createElement("li");
    const link = make("a", undefined, item);
    link.href = `#${card.id}`;
    link.dataset.study = card.id;
    const name = make("span", undefined, link);
    make("strong", card.name, name);
    make("span", card.error || [card.search, (card.objectives || []).join(", "), (card.coins || []).join(", ")].filter(Boolean).join(" · "), name);
    const part = (title, text) => { const box = make("span", title, link); box.prepend(make("b", text)); return box; };
    part("candidates", whole(card.candidates));
    const front = part("front", card.front ? whole(card.front.size) : "–");
    if (!card.front) front.title = "Known when its log has been read: open the study.";
    part("created", (card.created || "–").slice(0, 16).replace("T", " "));
    make("span", card.state, link, `pill ${card.state}`);
    return item;
  });
  const focused = document.activeElement && document.activeElement.dataset.study;
  list.replaceChildren(...items);
  if (focused) list.querySelector(`[data-study="${CSS.escape(focused)}"]`)?.focus();
}
