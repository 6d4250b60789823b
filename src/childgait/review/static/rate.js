"use strict";
import {get, onKeys, pageData, send, show} from "./common.js";
import {Player} from "./player.js";

const NOT_SEEN = "not seen", PLANES = {sagittal: ["left", "right"], coronal: ["forward", "backward"]};
const data = pageData();
const items = data.arbiter ? data.items.filter(one => data.other_scores[one.key]) : data.items;
const players = {}, roots = {};
let current = 0, measuring = false, unsaved = 0, busy = Promise.resolve();
const measured = {plane: "", frame: -1, points: []};

addEventListener("beforeunload", event => { if (unsaved) event.preventDefault(); });

// --- the two videos

function fill(plane, root) {
  const own = data.videos.filter(one => PLANES[plane].includes(one.view)), list = get(plane);
  for (const one of own) list.add(new Option(one.video, one.video));
  if (!own.length) { root.hidden = true; list.disabled = true; return; }
  open(plane, root, own[0]);
  if (plane === "sagittal") partner();
  list.addEventListener("change", () => open(plane, roots[plane], own.find(one => one.video === list.value)));
}

function open(plane, root, video) {
  const fresh = root.cloneNode(true);  // drops the listeners of the video before
  root.replaceWith(fresh);
  if (players[plane]) players[plane].pause();
  const player = players[plane] = new Player(fresh.querySelector(".player"), video, (pen, frame) => paint(plane, pen, frame));
  player.onframe = frame => follow(plane, frame);
  for (const kind of ["pointerdown", "input", "keydown"]) fresh.addEventListener(kind, () => { active = plane; }, true);
  player.canvas.addEventListener("pointerdown", event => { if (measuring && event.button === 0) measure(plane, player.at(event)); });
  get(plane).value = video.video;
  roots[plane] = fresh;
}

// Of one walk both cameras recorded the same seconds: the front or back view that is as long as the side view.
function partner() {
  const [side, front] = [players.sagittal, players.coronal];
  if (!side || !front) return;
  const off = one => Math.abs(one.seconds - side.data.seconds);
  const best = data.videos.filter(one => PLANES.coronal.includes(one.view)).sort((a, b) => off(a) - off(b))[0];
  if (best.video !== front.data.video) open("coronal", roots.coronal, best);
}

let active = "sagittal";  // the plane of the video that the person steers; the other one follows

// The other video shows the same moment: seconds since its start, and the shift between the two.
function follow(plane, frame) {
  const other = players[plane === "sagittal" ? "coronal" : "sagittal"], own = players[plane];
  if (!other || plane !== active || !get("sync").checked) return;
  const shift = Number(get("offset").value) || 0;
  const seconds = frame / own.rate + (plane === "sagittal" ? shift : -shift);
  const wanted = Math.min(Math.max(Math.round(seconds * other.rate), 0), other.data.frames - 1);
  if (wanted !== other.frame) other.seek(wanted);
}

const leading = () => (players[items[current]?.plane] ? items[current].plane : players.sagittal ? "sagittal" : "coronal");

// --- goniometer

function measure(plane, point) {
  const player = players[plane];
  player.pause();
  if (measured.plane !== plane || measured.frame !== player.shown || measured.points.length === 3) Object.assign(measured, {plane, frame: player.shown, points: []});
  measured.points.push(point);
  describe();
  player.paint();
}

const direction = (a, b) => Math.atan2(b[1] - a[1], b[0] - a[0]) * 180 / Math.PI;

function describe() {
  const [a, b, c] = measured.points;
  if (c) {
    let angle = Math.abs(direction(b, a) - direction(b, c));
    angle = angle > 180 ? 360 - angle : angle;
    get("angle").textContent = `Angle ${angle.toFixed(0)}°, from straight ${(180 - angle).toFixed(0)}°, from a right angle ${(90 - angle).toFixed(0)}°.`;
  } else if (b) {
    let tilt = Math.abs(direction(a, b) - 90) % 180;
    tilt = tilt > 90 ? 180 - tilt : tilt;
    get("angle").textContent = `To the vertical ${tilt.toFixed(0)}°, to the horizontal ${(90 - tilt).toFixed(0)}°.`;
  } else get("angle").textContent = "Click the next point.";
}

function paint(plane, pen, frame) {
  if (measured.plane !== plane || measured.frame !== frame) return;
  pen.strokeStyle = pen.fillStyle = "#ffd400";
  pen.beginPath();
  measured.points.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  for (const [x, y] of measured.points) { pen.beginPath(); pen.arc(x, y, 2 * pen.lineWidth, 0, 7); pen.fill(); }
}

// --- items

function element(name, text, more = {}) {
  return Object.assign(document.createElement(name), {textContent: text, ...more});
}

function render() {
  const item = items[current];
  if (!item) { get("item").textContent = "Nothing to decide"; return; }
  get("item").textContent = `${item.number} ${item.name}: ${item.limb} leg`;
  get("where").textContent = `${item.plane === "sagittal" ? "side view" : "front or back view"}, ${item.phase}`;
  get("bands").replaceChildren(...item.bands.flatMap((text, score) => [element("dt", score), element("dd", text)]));
  const choices = [...item.bands.keys(), NOT_SEEN].map(score => {
    const button = element("button", score, {type: "button"});
    button.setAttribute("aria-pressed", data.answers[item.key] === score);
    button.addEventListener("click", () => answer(score));
    return button;
  });
  get("choices").replaceChildren(...choices);
  get("other-scores").textContent = data.arbiter ? `Scores of the raters: ${data.other_scores[item.key].join(", ")}.` : "";
  const done = items.filter(one => data.answers[one.key] !== "").length;
  get("count").textContent = `${done} of ${items.length} answered, ${unsaved ? "saving" : "saved"}`;
  overview();
}

function overview() {
  const rows = [...new Set(items.map(one => one.number))].sort((a, b) => a - b).map(number => {
    const row = element("tr", ""), head = element("th", `${number} ${items.find(one => one.number === number).name}`, {scope: "row"});
    row.append(head);
    for (const limb of ["left", "right"]) {
      const cell = element("td", ""), at = items.findIndex(one => one.number === number && one.limb === limb);
      if (at >= 0) {
        const value = data.answers[items[at].key], button = element("button", value === "" ? "·" : value === NOT_SEEN ? "n" : value, {type: "button"});
        button.setAttribute("aria-label", `Item ${number}, ${limb} leg: ${value === "" ? "no answer" : value}`);
        button.classList.toggle("on", at === current);
        button.addEventListener("click", () => to(at));
        cell.append(button);
      }
      row.append(cell);
    }
    return row;
  });
  get("overview").replaceChildren(...rows);
}

// In a side view the near leg is scored: the recording whose view is the item's limb is shown.
function to(at) {
  current = Math.min(Math.max(at, 0), items.length - 1);
  const item = items[current];
  const better = item && item.plane === "sagittal" && data.videos.find(one => one.view === item.limb);
  if (better && players.sagittal && players.sagittal.data.view !== item.limb) { open("sagittal", roots.sagittal, better); partner(); }
  render();
}

// Answers are saved one after the other; the next item is shown at once and the answer is taken back if it was refused.
function answer(score) {
  const item = items[current], before = data.answers[item.key];
  if (score === before || (typeof score === "number" && score >= item.bands.length)) return;
  data.answers[item.key] = score;
  unsaved++;
  if (score !== "" && current < items.length - 1) to(current + 1); else render();
  busy = busy.then(async () => {
    const body = {child: data.child, session: data.session, limb: item.limb, number: item.number, score, before, arbiter: data.arbiter, second: data.second};
    if (!(await send("/api/rate", body))) data.answers[item.key] = before;
    unsaved--;
    render();
  });
}

roots.sagittal = get("side"); roots.coronal = get("front");
fill("coronal", get("front"));
fill("sagittal", get("side"));
get("previous").addEventListener("click", () => to(current - 1));
get("following").addEventListener("click", () => to(current + 1));
get("gonio").addEventListener("click", () => { measuring = !measuring; get("gonio").setAttribute("aria-pressed", measuring); });
const steer = name => event => { active = leading(); players[active]?.keys()[name](event); };
onKeys({
  " ": steer(" "), ArrowLeft: steer("ArrowLeft"), ArrowRight: steer("ArrowRight"), Home: steer("Home"), End: steer("End"), ",": steer(","),
  0: () => answer(0), 1: () => answer(1), 2: () => answer(2), n: () => answer(NOT_SEEN), Backspace: () => answer(""),
  ArrowUp: () => to(current - 1), ArrowDown: () => to(current + 1), g: () => get("gonio").click(),
});
const open0 = items.findIndex(one => data.answers[one.key] === "");
to(open0 < 0 ? 0 : open0);
if (!items.length) show("The raters agree on every item that both have scored.", true);
