"use strict";
import {get, go, offerUndo, onKeys, pageData, send, show} from "./common.js";
import {Player} from "./player.js";

const data = pageData();
const COLOURS = {left: "#ff5a4f", right: "#5aa0ff", middle: "#62d17a"};
const LINES = {left: "#b3261e", right: "#00557f"};  // on white
const CORRECTED = 1, FILLED = 3, NEAR = 14, TRAIL = 15;  // statuses of a point; screen pixels; frames
const sideOf = joint => joint.split("_")[0] in LINES ? joint.split("_")[0] : "middle";
const nowhere = data.joints.flatMap(() => [null, null]), unknown = data.joints.map(() => 0);
let walk = {points: data.times.map(() => nowhere), status: data.times.map(() => unknown), curves: {}, proposals: []};  // until refinement answers
let edits = [], selected = data.joints.indexOf("left_knee"), held = null;

const player = new Player(document.querySelector(".player"), data, paint);
player.onframe = () => { plot(); describe(); };

function place(frame, joint) {
  if (held && held.frame === frame && held.joint === joint) return held.at;
  const at = walk.points[frame];
  return at[2 * joint] === null ? null : [at[2 * joint], at[2 * joint + 1]];
}

function paint(pen, frame) {
  for (const [a, b, side] of data.bones) {
    const one = place(frame, a), two = place(frame, b);
    if (one && two) { pen.strokeStyle = COLOURS[side]; line(pen, [one, two]); }
  }
  const trail = [];
  for (let n = Math.max(0, frame - TRAIL); n <= Math.min(data.frames - 1, frame + TRAIL); n++) if (place(n, selected)) trail.push(place(n, selected));
  pen.strokeStyle = "#ffffffa0"; line(pen, trail);
  const unit = pen.lineWidth;
  data.joints.forEach((name, joint) => {
    const at = place(frame, joint);
    if (!at) return;
    pen.beginPath(); pen.arc(at[0], at[1], 2.2 * unit, 0, 7);
    pen.fillStyle = pen.strokeStyle = COLOURS[sideOf(name)];
    if (walk.status[frame][joint] === FILLED) pen.stroke(); else pen.fill();
    pen.strokeStyle = "#fff";
    if (walk.status[frame][joint] === CORRECTED) { pen.beginPath(); pen.arc(at[0], at[1], 3.6 * unit, 0, 7); pen.stroke(); }
    if (joint === selected) pen.strokeRect(at[0] - 5 * unit, at[1] - 5 * unit, 10 * unit, 10 * unit);
  });
}

function line(pen, places) {
  pen.beginPath();
  places.forEach(([x, y], n) => n ? pen.lineTo(x, y) : pen.moveTo(x, y));
  pen.stroke();
}

// --- curves under the picture

function plot() {
  const limbs = Object.keys(walk.curves), name = get("curve").value;
  draw(get("angle"), limbs.filter(limb => walk.curves[limb][name]).map(limb => ({name: limb, colour: LINES[limb], values: walk.curves[limb][name]})));
  const of = axis => walk.points.map((_, n) => { const at = place(n, selected); return at && at[axis]; });
  draw(get("path"), [{name: "across, px", colour: "#5b2a86", values: of(0)}, {name: "down, px", colour: "#7a4b00", values: of(1)}]);
}

function draw(canvas, series) {
  const ratio = devicePixelRatio, width = canvas.clientWidth * ratio, height = canvas.clientHeight * ratio;
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d"), left = 46 * ratio, known = series.flatMap(one => one.values).filter(value => value !== null);
  pen.clearRect(0, 0, width, height);
  pen.font = `${11 * ratio}px system-ui, sans-serif`;
  if (!known.length) { pen.fillStyle = "#55606d"; pen.fillText("not shown from this view", left, height / 2); return; }
  const low = Math.min(...known), high = Math.max(Math.max(...known), low + 1e-3), top = 18 * ratio, bottom = height - 6 * ratio;
  const x = n => left + (width - left - 4 * ratio) * n / Math.max(1, data.frames - 1), y = value => bottom - (bottom - top) * (value - low) / (high - low);
  pen.fillStyle = "#55606d"; pen.fillText(high.toFixed(1), 2, top + 4 * ratio); pen.fillText(low.toFixed(1), 2, bottom);
  pen.strokeStyle = "#55606d"; pen.lineWidth = ratio; line(pen, [[x(player.frame), top], [x(player.frame), bottom]]);
  series.forEach((one, n) => {
    pen.strokeStyle = pen.fillStyle = one.colour; pen.lineWidth = 1.5 * ratio;
    pen.setLineDash(n ? [6 * ratio, 3 * ratio] : []);
    pen.fillText(`${n ? "- -" : "—"} ${one.name}`, left + n * 110 * ratio, 12 * ratio);
    pen.beginPath();
    one.values.forEach((value, at) => { if (value !== null) { if (at && one.values[at - 1] !== null) pen.lineTo(x(at), y(value)); else pen.moveTo(x(at), y(value)); } });
    pen.stroke(); pen.setLineDash([]);
  });
}

for (const canvas of document.querySelectorAll(".plot")) canvas.addEventListener("click", event => {
  const box = canvas.getBoundingClientRect();
  player.pause();
  player.seek(Math.round((event.clientX - box.left - 46) / (box.width - 50) * (data.frames - 1)));
});

function describe() {
  const frame = Math.max(0, player.shown), at = place(frame, selected), name = get("curve").value;
  const angles = Object.entries(walk.curves).map(([limb, curves]) => curves[name] && curves[name][frame] !== null ? `${limb} ${curves[name][frame].toFixed(1)}` : "").filter(Boolean);
  get("values").textContent = `${name.replace("_", " ")}: ${angles.join(", ") || "unknown"}; ${data.joints[selected].replaceAll("_", " ")}: ${at ? at.map(value => value.toFixed(1)).join(", ") : "unseen"}`;
  get("last").value = frame;
}

// --- corrections

function choose(joint) {
  selected = joint;
  get("joint").value = data.joints[joint];
  player.paint(); plot(); describe();
}

async function add(...rows) {
  if (!rows.length) return;
  edits.push(rows);
  await refresh();
}

// The newest request counts: an answer that arrives late is dropped.
let newest = 0;
async function refresh() {
  const own = ++newest;
  const answer = await send("/api/correct/preview", {video: data.video, edits: edits.flat()});
  if (own !== newest) return;
  if (answer) { walk = answer.walk; data.versions.corrections = answer.version; held = null; offerCurves(); }  // else the page states why; the unsaved corrections stay
  update();
}

function update() {
  const rows = edits.flat(), count = action => rows.filter(one => (one.action || "") === action).length;
  const parts = [[count(""), "moved"], [count("unseen"), "unseen"], [count("exchange") + count("keep"), "ranges exchanged"]];
  get("state").textContent = rows.length ? "Not saved: " + parts.filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(", ") + "." : "Nothing is changed.";
  get("save").disabled = get("back").disabled = get("drop").disabled = !rows.length;
  get("proposals").replaceChildren(...walk.proposals.map(one => {
    const button = document.createElement("button");
    button.type = "button"; button.className = "small";
    button.textContent = `${one.frame} ${one.joint.replaceAll("_", " ")}`;
    button.addEventListener("click", () => open(one));
    return button;
  }));
  player.paint(); plot(); describe();
}

let opened = -1;
function open(one) {
  opened = walk.proposals.indexOf(one);
  player.pause();
  player.seek(one.frame);
  choose(data.joints.indexOf(one.joint));
}

function range() {
  const ends = [Number(get("first").value), Number(get("last").value)].map(value => Math.min(Math.max(Math.round(value) || 0, 0), data.frames - 1));
  return [Math.min(...ends), Math.max(...ends)];
}

// Rows relate to the estimated sides, so that a row means the same after a rerun: one row per run of equal sides.
function exchange(joint) {
  if (!walk.exchanged) return;  // the sides of the estimate are not known before refinement answers
  const [first, last] = range(), now = walk.exchanged[joint], rows = [];
  for (let frame = first; frame <= last; frame++) {
    const action = now[frame] ? "keep" : "exchange", before = rows.at(-1);
    if (before && before.action === action) before.last = frame; else rows.push({joint, action, frame, last: frame});
  }
  return add(...rows);
}

const unseen = (frame, last) => { if (frame >= 0) return add({joint: data.joints[selected], action: "unseen", frame, last}); };

// A second move of the same joint replaces the first.
function put(frame, joint, [x, y]) {
  const name = data.joints[joint], before = edits.at(-1);
  if (before && before.length === 1 && !before[0].action && before[0].frame === frame && before[0].joint === name) edits.pop();
  return add({joint: name, frame, x, y});
}

function move(dx, dy) {
  const frame = player.shown, at = frame < 0 ? null : place(frame, selected);
  if (!at) return;
  held = {frame, joint: selected, at: [at[0] + dx, at[1] + dy]};
  player.paint();
  put(frame, selected, held.at);
}

player.canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0 || player.shown < 0) return;
  player.pause();
  const start = player.at(event), frame = player.shown;
  const far = joint => { const at = place(frame, joint); return at ? Math.hypot(at[0] - start[0], at[1] - start[1]) : Infinity; };
  const order = data.joints.map((_, joint) => joint).sort((a, b) => far(a) - far(b));
  const reach = NEAR * devicePixelRatio / player.scale;
  // The selected joint is taken where several lie upon each other, and where it has no place yet.
  const joint = far(selected) <= reach || !place(frame, selected) ? selected : far(order[0]) <= reach ? order[0] : null;
  if (joint === null) return;
  choose(joint);
  const change = e => { held = {frame, joint, at: player.at(e)}; player.paint(); plot(); };
  const end = e => {
    removeEventListener("pointermove", change); removeEventListener("pointerup", end);
    const to = player.at(e), from = place(frame, joint);
    if (Math.hypot(to[0] - start[0], to[1] - start[1]) * player.scale > 2 * devicePixelRatio || !from) { held = {frame, joint, at: to}; put(frame, joint, to); } else held = null;
  };
  addEventListener("pointermove", change);
  addEventListener("pointerup", end);
});

async function save() {
  if (!edits.length) return;
  const answer = await send("/api/correct", {video: data.video, edits: edits.flat(), reason: get("reason").value, version: data.versions.corrections});
  if (answer) { edits = []; go(`/correct/${data.video}`); return; }
  const why = get("message").textContent;
  await refresh();  // shows the rows that somebody else has saved meanwhile, with the unsaved ones behind them
  show(`${why}Your corrections are still on this page: look at the joints as they are now, and save again.`);
}

function offerCurves() {
  if (get("curve").options.length) return;
  const names = [...new Set(Object.values(walk.curves).flatMap(Object.keys))];
  get("curve").replaceChildren(...names.map(name => new Option(name.replace("_", " "), name)));
  if (names.includes("knee")) get("curve").value = "knee";
}

get("curve").addEventListener("change", () => { plot(); describe(); });
get("joint").addEventListener("change", () => choose(data.joints.indexOf(get("joint").value)));
get("first").max = get("last").max = data.frames - 1;
get("unseen").addEventListener("click", () => unseen(player.shown, null));
get("hide").addEventListener("click", () => unseen(...range()));
get("begin").addEventListener("click", () => { get("first").value = player.frame; });
get("legs").addEventListener("click", () => exchange("legs"));
get("arms").addEventListener("click", () => exchange("arms"));
get("save").addEventListener("click", save);
get("back").addEventListener("click", () => { edits.pop(); refresh(); });
get("drop").addEventListener("click", () => { edits = []; refresh(); });
addEventListener("beforeunload", event => { if (edits.length) event.preventDefault(); });
addEventListener("resize", plot);
onKeys({
  ...player.keys(), u: () => get("unseen").click(), b: () => get("begin").click(), x: () => exchange("legs"), y: () => exchange("arms"),
  z: () => { if (edits.length) get("back").click(); }, Enter: save,
  n: () => { if (walk.proposals.length) open(walk.proposals[(opened + 1) % walk.proposals.length]); },
  a: () => move(-1, 0), d: () => move(1, 0), w: () => move(0, -1), s: () => move(0, 1),
});
offerUndo(table => data.versions[table]);
choose(selected);
player.place = place;
window.review = player;  // for the bench and the tests
get("state").textContent = "The skeleton is being refined …";
await refresh();
