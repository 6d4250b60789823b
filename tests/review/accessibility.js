(() => {
  const problems = [], shown = one => one.getClientRects().length && getComputedStyle(one).visibility !== "hidden";
  const nameOf = one => (one.getAttribute("aria-label") || [...(one.labels || [])].map(l => l.innerText).join(" ") || one.textContent || one.getAttribute("title") || "").trim();
  for (const one of document.querySelectorAll("button, a, input, select, textarea, canvas[role], progress, [role=region]"))
    if (shown(one) && !nameOf(one) && one.getAttribute("aria-hidden") !== "true" && !one.querySelector("canvas")) problems.push("no name: " + one.outerHTML.slice(0, 80));
  for (const one of document.querySelectorAll("img:not([alt])")) problems.push("no alt: " + one.outerHTML.slice(0, 80));
  for (const one of document.querySelectorAll("[tabindex]")) if (one.tabIndex > 0) problems.push("tabindex: " + one.outerHTML.slice(0, 80));
  const ids = [...document.querySelectorAll("[id]")].map(one => one.id);
  for (const id of new Set(ids.filter((id, n) => ids.indexOf(id) !== n))) problems.push("id twice: " + id);
  for (const one of document.querySelectorAll("[aria-label]")) {  // what is visible must be part of the name, for speech input
    const text = one.tagName === "BUTTON" ? one.innerText.trim().toLowerCase() : "";
    if (/[a-z0-9]/.test(text) && !one.getAttribute("aria-label").toLowerCase().includes(text)) problems.push("name lacks the text: " + text);
  }
  let level = 0;
  for (const one of document.querySelectorAll("h1, h2, h3, h4")) { const own = Number(one.tagName[1]); if (own > level + 1) problems.push("heading: " + one.textContent); level = own; }
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  if (!document.documentElement.lang || !document.querySelector("main")) problems.push("no lang or main");
  const light = c => { const v = c / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const rgb = text => text.match(/[\d.]+/g).map(Number);
  const ground = one => { for (let at = one; at; at = at.parentElement) { const c = rgb(getComputedStyle(at).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !shown(one) || one.closest(":disabled, script, .hidden, .skip")) continue;
    const [a, b] = [luminance(rgb(getComputedStyle(one).color)), luminance(ground(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return problems;
})()
