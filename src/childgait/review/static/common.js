"use strict";
// Requests, messages, undo and keys that all pages share.

export const get = id => document.getElementById(id);

export function pageData() {
  return JSON.parse(get("data").textContent);
}

export function show(text, good = false) {
  const box = get("message");
  box.textContent = text;
  box.classList.toggle("good", good);
  box.hidden = !text;
}

const sentence = text => (text ? text[0].toUpperCase() + text.slice(1).replace(/[.]$/, "") + ". " : "");

// Returns the answer of a request; a refusal is shown on the page and gives null: nothing was written.
export async function send(address, body) {
  try {
    const answer = await fetch(address, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)});
    const content = (answer.headers.get("content-type") || "").startsWith("application/json") ? await answer.json() : {error: await answer.text()};
    if (answer.ok) { show(""); return content; }
    show(sentence(content.error) + sentence(content.hint));
  } catch {
    show("The server does not answer; nothing was written. Is `childgait review` still running?");
  }
  return null;
}

export function go(address) {
  window.location.assign(address);
}

// Single keys; not while a text is typed, and not with Ctrl, Alt or Meta.
export function onKeys(keys) {
  document.addEventListener("keydown", event => {
    const typing = event.target.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select");
    if (event.ctrlKey || event.altKey || event.metaKey || typing) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.target.matches("button, a, summary, input") && (key === " " || key === "Enter")) return;
    if (event.target.matches("input[type=range], input[type=radio]") && key.startsWith("Arrow")) return;
    const action = keys[key];
    if (action) { event.preventDefault(); action(event); }
  });
}

export function offerUndo(versionOf) {
  for (const button of document.querySelectorAll("[data-undo]")) {
    button.addEventListener("click", async () => {
      const {table, video, reviewer, time} = button.dataset;
      const done = await send("/api/undo", {table, video, reviewer, time, version: versionOf(table, video)});
      if (done) window.location.reload();
    });
  }
}
