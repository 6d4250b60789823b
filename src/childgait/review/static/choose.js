"use strict";
import {get, go, offerUndo, onKeys, pageData, send} from "./common.js";
import {Player} from "./player.js";

const data = pageData();
const colours = {left: "#ff5a4f", right: "#5aa0ff", middle: "#62d17a"};
let choice = null;  // {frame, box}: two numbers for a point, four for a box

const player = new Player(document.querySelector(".player"), data, paint);

function paint(pen, frame) {
  const own = data.boxes[frame];
  if (own && own.box[0] !== null) {
    const [x0, y0, x1, y1] = own.box;
    pen.strokeStyle = own.ok ? "#3ce63c" : "#ff8c00";
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  const at = data.points[frame];
  for (const [a, b, side] of at ? data.bones : []) {
    if (at[2 * a] === null || at[2 * b] === null) continue;
    pen.strokeStyle = colours[side];
    pen.beginPath(); pen.moveTo(at[2 * a], at[2 * a + 1]); pen.lineTo(at[2 * b], at[2 * b + 1]); pen.stroke();
  }
  pen.strokeStyle = "#4fc3ff";
  if (choice && choice.frame === frame) mark(pen, choice.box);
  pen.strokeStyle = "#ffffff";
  for (const one of data.selections) if (Number(one.frame) === frame) mark(pen, [one.x0, one.y0, one.x1, one.y1].filter(value => value !== "").map(Number));
}

function mark(pen, box) {
  if (box.length === 4) { pen.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]); return; }
  const size = 8 * pen.lineWidth;
  pen.beginPath();
  pen.arc(box[0], box[1], size / 2, 0, 7);
  pen.moveTo(box[0] - size, box[1]); pen.lineTo(box[0] + size, box[1]);
  pen.moveTo(box[0], box[1] - size); pen.lineTo(box[0], box[1] + size);
  pen.stroke();
}

// The steps run anew for this video after a choice; the page shows their mask and skeleton once they are there.
async function follow() {
  const note = get("preview");
  while (data.preview.state === "running") {
    note.textContent = "The steps run anew for your choice; mask and skeleton follow.";
    await new Promise(done => setTimeout(done, 700));
    const answer = await fetch(`/api/preview/${data.video}`).catch(() => null);
    if (!answer || !answer.ok) { note.textContent = "The preview cannot be read; `make run` makes mask and skeleton."; return; }
    data.preview = await answer.json();
    if (data.preview.boxes) { data.boxes = data.preview.boxes; data.points = data.preview.points; player.paint(); }
  }
  if (data.preview.state === "done") note.textContent = "Drawn: a preview of your choice. make run writes it.";
  if (data.preview.state === "failed") note.textContent = `No preview: ${data.preview.message}`;
}

function update() {
  get("save").disabled = get("drop").disabled = !choice;
  get("state").textContent = choice ? `Frame ${choice.frame}: ${choice.box.length === 2 ? "point" : "box"} ${choice.box.map(Math.round).join(", ")}.` : "Nothing is chosen yet.";
  player.paint();
}

player.canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0 || player.shown < 0) return;  // no picture is there yet
  player.pause();
  const start = player.at(event), frame = player.shown;
  const change = e => {
    const [x, y] = player.at(e);
    const far = Math.hypot(x - start[0], y - start[1]) * player.scale > 6;
    choice = {frame, box: far ? [Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y)] : start};
    update();
  };
  const end = e => { removeEventListener("pointermove", change); removeEventListener("pointerup", end); change(e); };
  addEventListener("pointermove", change);
  addEventListener("pointerup", end);
});

async function save() {
  if (!choice) return;
  const answer = await send("/api/choose", {video: data.video, ...choice, reason: get("reason").value, version: data.versions.selections});
  if (answer) go(answer.next);
}

get("save").addEventListener("click", save);
get("drop").addEventListener("click", () => { choice = null; update(); });
for (const button of document.querySelectorAll("[data-frame]")) button.addEventListener("click", () => { player.pause(); player.seek(Number(button.dataset.frame)); });
onKeys({...player.keys(), Enter: save});
offerUndo(table => data.versions[table]);
follow();
