"use strict";
import {get, go, offerUndo, onKeys, pageData, send, show} from "./common.js";
import {Player} from "./player.js";

const data = pageData();
const draft = {region: "", boxes: new Map()};  // a cover that is being drawn, by frame
let drawing = false, selected = null, rubber = null;

const player = new Player(document.querySelector(".player"), data, paint);

function paint(pen, frame) {
  for (const [region, x0, y0, x1, y1, whole] of data.covers[frame] || []) {
    pen.strokeStyle = selected && selected.region === region ? "#ffd400" : whole ? "#ff8c00" : "#3ce63c";
    pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
  const box = rubber || boxAt(frame);
  if (box) {
    pen.strokeStyle = "#4fc3ff";
    pen.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
  }
}

// The drawn cover at a frame: interpolated between its boxes, as the chain does.
function boxAt(frame) {
  const frames = [...draft.boxes.keys()].sort((a, b) => a - b);
  if (!frames.length) return null;
  if (get("all").checked) return draft.boxes.get(frames[0]);
  if (frame < frames[0] || frame > frames.at(-1)) return null;
  const after = frames.find(f => f >= frame), before = frames.findLast(f => f <= frame);
  const share = after === before ? 0 : (frame - before) / (after - before);
  return draft.boxes.get(before).map((edge, n) => edge + share * (draft.boxes.get(after)[n] - edge));
}

function update() {
  get("draw").setAttribute("aria-pressed", drawing);
  get("end").disabled = get("remove").disabled = !selected;
  get("save").disabled = get("drop").disabled = !draft.boxes.size;
  get("accept").disabled = !(get("heads").checked && get("child").checked && player.film.complete);
  const frames = [...draft.boxes.keys()].sort((a, b) => a - b);
  if (frames.length && get("all").checked) get("draft").textContent = "The new cover lies on all frames.";
  else if (frames.length) get("draft").textContent = `New cover: boxes on ${frames.length} frame(s), covering frames ${frames[0]} to ${frames.at(-1)}. Draw another on the last frame that shows the head.`;
  else if (selected) get("draft").textContent = `Cover ${selected.region} in frame ${selected.frame} is selected.`;
  else get("draft").textContent = drawing ? "Drag a box around the head." : "Click a cover to end or remove it; draw one on the first and the last frame, and between them where it turns.";
  player.paint();
}

function select(x, y) {
  const hit = (data.covers[player.shown] || []).filter(([, x0, y0, x1, y1]) => x >= x0 && x < x1 && y >= y0 && y < y1);
  selected = hit.length ? {region: hit[0][0], frame: player.shown, box: hit[0].slice(1, 5)} : null;
  update();
}

player.canvas.addEventListener("pointerdown", event => {
  if (event.button !== 0 || player.shown < 0) return;  // no picture is there yet
  player.pause();
  const start = player.at(event);
  if (!drawing) { select(...start); return; }
  const move = e => {
    const [x, y] = player.at(e);
    rubber = [Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y)];
    player.paint();
  };
  const end = () => {
    removeEventListener("pointermove", move); removeEventListener("pointerup", end);
    if (rubber && rubber[2] - rubber[0] >= 3 && rubber[3] - rubber[1] >= 3) draft.boxes.set(player.shown, rubber.map(Math.round));
    rubber = null;
    update();
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
});

function freeName() {
  const taken = new Set(data.regions);
  let number = 1;
  while (taken.has(`person ${number}`)) number++;
  return `person ${number}`;
}

const reason = other => get("reason").value.trim() || other;

async function changeCovers(rows, text) {
  const answer = await send("/api/covers", {video: data.video, rows, reason: text, version: data.versions.regions});
  if (answer) window.location.reload();
}

function save() {
  if (!draft.boxes.size) return;
  const frames = [...draft.boxes.keys()].sort((a, b) => a - b);
  const all = get("all").checked;
  if (!all && frames.length === 1 && data.frames > 1) {
    show("A cover with one box lies on that frame alone: draw a second one on its last frame, or choose all frames.");
    return;
  }
  const name = freeName();
  const rows = (all ? frames.slice(0, 1) : frames).map(frame => ({region: name, frame: all ? null : frame, box: draft.boxes.get(frame), action: "cover"}));
  changeCovers(rows, reason("a head is not covered"));
}

function change(action) {
  if (!selected) return;
  const rows = [{region: `track ${selected.region}`, frame: selected.frame, box: selected.box, action}];
  changeCovers(rows, reason(action === "end" ? "nobody is under the cover from here on" : "nobody is under the cover"));
}

async function decide(address, body) {
  const answer = await send(address, {video: data.video, version: data.versions.cleared, ...body});
  if (answer) go(answer.next ? `/clear/${answer.next}` : "/");
}

function accept() {
  if (get("accept").disabled) { show("Answer both questions first; the whole video must be loaded."); return; }
  decide("/api/accept", {heads_covered: true, child_visible: true, reason: reason(""), sha256: data.sha256});
}

function hold() {
  if (!get("reason").value.trim()) { show("State why the video is put aside, then press the button again."); get("reason").focus(); return; }
  decide("/api/hold", {reason: reason("")});
}

function toggle(id) { get(id).checked = !get(id).checked; update(); }

function thumbnails() {
  for (const frame of data.risky) {
    const button = document.createElement("button"), canvas = document.createElement("canvas"), text = document.createElement("span");
    button.type = "button";
    canvas.width = Math.min(data.width, 640);
    canvas.height = Math.round(canvas.width * data.height / data.width);
    canvas.setAttribute("aria-hidden", "true");
    text.textContent = `frame ${frame}` + (data.covers[frame] ? "" : ": nobody covered");
    button.append(canvas, text);
    button.addEventListener("click", () => { player.pause(); player.seek(frame); player.canvas.scrollIntoView({block: "nearest"}); });
    get("frames").append(button);
    player.film.picture(frame).then(async picture => {
      const pen = canvas.getContext("2d"), scale = canvas.width / data.width;
      if (!picture) return;
      pen.drawImage(await picture, 0, 0, canvas.width, canvas.height);
      pen.scale(scale, scale);
      pen.lineWidth = 2 / scale;
      for (const [, x0, y0, x1, y1, whole] of data.covers[frame] || []) {
        pen.strokeStyle = whole ? "#ff8c00" : "#3ce63c";
        pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
      }
    });
  }
}

player.onload = film => {
  update();
  if (film.complete && data.next) fetch(`/api/film/${data.next}`).catch(() => {});  // decodes the next video meanwhile; without it that page only waits longer
};
get("heads").addEventListener("change", update);
get("child").addEventListener("change", update);
get("all").addEventListener("change", update);
get("accept").addEventListener("click", accept);
get("hold").addEventListener("click", hold);
get("draw").addEventListener("click", () => { drawing = !drawing; selected = null; update(); });
get("save").addEventListener("click", save);
get("drop").addEventListener("click", () => { draft.boxes.clear(); update(); });
get("end").addEventListener("click", () => change("end"));
get("remove").addEventListener("click", () => change("remove"));
onKeys({
  ...player.keys(), 1: () => toggle("heads"), 2: () => toggle("child"), Enter: accept, h: hold,
  d: () => get("draw").click(), s: save, e: () => change("end"), x: () => change("remove"),
});
offerUndo(table => data.versions[table]);
thumbnails();
update();
player.play();
window.review = player;  // for the bench
