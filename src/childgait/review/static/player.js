"use strict";
// A video as frames in memory: exact stepping, slow motion, zoom. The page draws over it.

const AHEAD = 10, KEPT = 28;  // decoded pictures: ahead of the shown frame, and in all
const SPEEDS = [1, 0.5, 0.25, 0.1];

export class Film {
  constructor(video, count) {
    this.video = video;
    this.count = count;
    this.blobs = [];
    this.pictures = new Map();
    this.waiting = [];
    this.error = null;
    this.shown = null;  // the picture on the screen, which is not closed
    this.onload = () => {};
  }

  async load() {
    try {
      const answer = await fetch(`/film/${this.video}`);
      if (!answer.ok) throw new Error((await answer.json()).error);
      await this.read(answer.body.getReader());
      if (this.blobs.length < this.count) {
        const state = await (await fetch(`/api/film/${this.video}`)).json();
        throw new Error(state.error || `the video ended after ${this.blobs.length} of ${this.count} frames`);
      }
    } catch (error) {
      this.error = String(error.message || error);
    }
    this.settle();
    this.onload(this);
  }

  // Each frame stands behind its length in four bytes.
  async read(reader) {
    let rest = new Uint8Array(0);
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      const joined = new Uint8Array(rest.length + value.length);
      joined.set(rest); joined.set(value, rest.length);
      let at = 0;
      while (joined.length - at >= 4) {
        const size = new DataView(joined.buffer, at).getUint32(0);
        if (joined.length - at - 4 < size) break;
        this.blobs.push(new Blob([joined.subarray(at + 4, at + 4 + size)], {type: "image/jpeg"}));
        at += 4 + size;
      }
      rest = joined.slice(at);
      this.settle();
      this.onload(this);
    }
  }

  settle() {
    const open = this.waiting;
    this.waiting = [];
    for (const one of open) if (this.blobs[one.frame] || this.error) one.resolve(); else this.waiting.push(one);
  }

  get complete() { return this.blobs.length === this.count; }

  async picture(frame) {
    if (!this.blobs[frame] && !this.error) await new Promise(resolve => this.waiting.push({frame, resolve}));
    if (!this.blobs[frame]) return null;
    if (!this.pictures.has(frame)) this.pictures.set(frame, createImageBitmap(this.blobs[frame]));
    const picture = this.pictures.get(frame);
    this.pictures.delete(frame); this.pictures.set(frame, picture);  // the most recent last
    while (this.pictures.size > KEPT) {
      const [oldest, old] = this.pictures.entries().next().value;
      this.pictures.delete(oldest);
      old.then(one => { if (one !== this.shown) one.close(); }, () => {});
    }
    return picture;
  }

  prepare(frame, direction) {
    for (let n = 1; n <= AHEAD; n++) {
      const next = frame + n * direction;
      if (this.blobs[next] && !this.pictures.has(next)) this.picture(next);
    }
  }
}

export class Player {
  constructor(root, data, draw = () => {}) {
    this.root = root;
    this.data = data;
    this.draw = draw;  // (pen, frame, player) in pixels of the video
    this.canvas = root.querySelector("canvas");
    this.pen = this.canvas.getContext("2d");
    this.frame = 0;
    this.shown = -1;
    this.speed = 0;
    this.playing = false;
    this.view = {x: 0, y: 0, zoom: 1};
    this.onframe = () => {};
    this.steps = [];  // milliseconds from a step to its picture, for the bench
    this.film = new Film(data.video, data.frames);
    this.film.onload = film => this.loading(film);
    this.canvas.style.aspectRatio = `${data.width} / ${data.height}`;
    this.place = root.querySelector("[data-do=place]");
    this.place.max = data.frames - 1;
    this.listen();
    this.resize();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.film.load();
    this.seek(0);
  }

  listen() {
    const on = (name, event, action) => this.root.querySelector(`[data-do=${name}]`).addEventListener(event, action);
    on("back", "click", () => this.step(-1));
    on("next", "click", () => this.step(1));
    on("play", "click", () => this.toggle());
    on("place", "input", () => { this.pause(); this.seek(Number(this.place.value)); });
    on("speed", "click", () => this.slower());
    on("whole", "click", () => { this.view = {x: 0, y: 0, zoom: 1}; this.paint(); });
    this.canvas.addEventListener("wheel", event => { event.preventDefault(); this.zoom(event); }, {passive: false});
    this.canvas.addEventListener("contextmenu", event => event.preventDefault());
    this.canvas.addEventListener("pointerdown", event => { if (event.button === 2) this.pan(event); });
  }

  keys() {
    return {
      " ": () => this.toggle(), ArrowLeft: e => this.step(e.shiftKey ? -10 : -1), ArrowRight: e => this.step(e.shiftKey ? 10 : 1),
      Home: () => this.step(-this.frame), End: () => this.step(this.data.frames), ",": () => this.slower(),
    };
  }

  loading(film) {
    const note = this.root.querySelector("[data-at=load]");
    note.textContent = film.error ? `Error: ${film.error}` : film.complete ? "" : `loading ${Math.round(100 * film.blobs.length / film.count)} %`;
    if (this.onload) this.onload(film);
  }

  resize() {
    const width = Math.max(1, Math.round(Math.min(this.canvas.clientWidth * devicePixelRatio, 2 * this.data.width)));
    if (width === this.canvas.width) return;
    this.canvas.width = width;
    this.canvas.height = Math.round(width * this.data.height / this.data.width);
    this.paint();
  }

  get scale() { return this.view.zoom * this.canvas.width / this.data.width; }

  // The place of an event in pixels of the video; (0, 0) is the centre of the top left pixel.
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * this.canvas.width / this.scale + this.view.x - 0.5;
    const y = (event.clientY - box.top) / box.height * this.canvas.height / this.scale + this.view.y - 0.5;
    return [Math.min(Math.max(x, 0), this.data.width - 1), Math.min(Math.max(y, 0), this.data.height - 1)];
  }

  zoom(event) {
    const [x, y] = this.at(event), before = this.view.zoom;
    const zoom = Math.min(12, Math.max(1, before * (event.deltaY < 0 ? 1.25 : 0.8)));
    this.view = this.bounded({x: x - (x - this.view.x) * before / zoom, y: y - (y - this.view.y) * before / zoom, zoom});
    this.paint();
  }

  bounded({x, y, zoom}) {
    const limit = (value, size) => Math.min(Math.max(value, 0), size - size / zoom);
    return {x: limit(x, this.data.width), y: limit(y, this.data.height), zoom};
  }

  pan(event) {
    const start = [event.clientX, event.clientY], from = {...this.view};
    const factor = this.canvas.width / this.canvas.getBoundingClientRect().width / this.scale;
    const move = e => { this.view = this.bounded({...from, x: from.x - (e.clientX - start[0]) * factor, y: from.y - (e.clientY - start[1]) * factor}); this.paint(); };
    const end = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", end); };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  step(by) { this.pause(); return this.seek(this.frame + by, by < 0 ? -1 : 1); }

  async seek(frame, direction = 1) {
    const began = performance.now();
    this.frame = Math.min(Math.max(frame, 0), this.data.frames - 1);
    const wanted = this.frame;
    const picture = await this.film.picture(wanted);
    if (!picture || wanted !== this.frame) return;
    this.current = this.film.shown = await picture;
    this.shown = wanted;
    this.paint();
    this.steps.push(performance.now() - began);
    this.place.value = wanted;
    const seconds = this.data.times ? this.data.times[wanted] : this.data.seconds * wanted / Math.max(1, this.data.frames - 1);
    this.root.querySelector("[data-at=time]").textContent = `frame ${wanted}, ${seconds.toFixed(3)} s`;
    this.film.prepare(wanted, direction);
    this.onframe(wanted);
  }

  paint() {
    if (!this.current || !this.canvas.width) return;
    const {pen, scale} = this;
    pen.setTransform(scale, 0, 0, scale, -this.view.x * scale, -this.view.y * scale);
    pen.drawImage(this.current, 0, 0, this.data.width, this.data.height);
    pen.translate(0.5, 0.5);
    pen.lineWidth = 2 * devicePixelRatio / scale;
    this.draw(pen, this.shown, this);
  }

  get rate() { return (this.data.frames - 1) / this.data.seconds; }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (this.frame >= this.data.frames - 1) this.frame = 0;
    this.playing = true;
    this.root.querySelector("[data-do=play]").textContent = "Pause";
    const first = this.frame, began = performance.now();
    const turn = now => {
      if (!this.playing || this.began !== began) return;
      const due = Math.min(first + Math.floor((now - began) / 1000 * this.rate * SPEEDS[this.speed]), this.data.frames - 1);
      if (due >= this.film.blobs.length && !this.film.complete) {
        this.pause();
        this.began = began;  // a pause of the person's meanwhile clears it, and then it does not play on
        this.film.picture(Math.min(due + 15, this.data.frames - 1)).then(() => this.film.error || this.began !== began || this.play());
        return;
      }
      if (due !== this.frame) this.seek(due);
      if (due >= this.data.frames - 1) this.pause(); else requestAnimationFrame(turn);
    };
    this.began = began;
    requestAnimationFrame(turn);
  }

  pause() {
    this.playing = false;
    this.began = null;
    this.root.querySelector("[data-do=play]").textContent = "Play";
  }

  slower() {
    this.speed = (this.speed + 1) % SPEEDS.length;
    this.root.querySelector("[data-at=speed]").textContent = `${SPEEDS[this.speed]}×`;
    if (this.playing) { this.pause(); this.play(); }
  }
}
