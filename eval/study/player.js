"use strict";

// All videos of a screen, drawn from one clock, so that they stay in step whatever the machine is busy with.
class Player {
  static REST = 0.6; // seconds on the last frame, so that the jump back to the start is not taken for one of the video

  constructor(canvases, bar, onChange) {
    Object.assign(this, { canvases, bar, onChange, films: {}, generation: 0 });
    Object.assign(this, { loading: false, playing: false, seen: false, at: 0, before: 0 });
    const step = (now) => {
      requestAnimationFrame(step);
      this.step(now);
    };
    requestAnimationFrame(step);
  }

  // `videos`: by canvas, the strip that it shows. The frames of one that is left are given back.
  async load(videos, fps) {
    const generation = ++this.generation;
    Object.assign(this, { loading: true, playing: false, seen: false, at: 0 });
    this.onChange();
    const names = Object.keys(videos);
    const films = await Promise.all(names.map((name) => cut(videos[name])));
    const late = generation !== this.generation;
    (late ? films : Object.values(this.films)).flat().forEach((frame) => frame.close());
    if (late) return;
    this.films = Object.fromEntries(names.map((name, i) => [name, films[i]]));
    this.length = Math.max(...films.map((film) => film.length));
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    Object.assign(this, { fps, loading: false });
    this.onChange();
  }

  toggle() {
    if (this.loading) return;
    this.playing = !this.playing;
    this.onChange();
  }

  step(now) {
    const passed = (now - this.before) / 1000;
    this.before = now;
    if (!this.length) return;
    if (this.playing) this.at += Math.min(passed, 1); // a page in the background gets no frames: it waits
    const last = this.length / this.fps;
    if (this.at >= last && !this.seen) {
      this.seen = true;
      this.onChange();
    }
    if (this.at >= last + Player.REST) this.at = 0;
    this.bar.style.transform = `scaleX(${Math.min(1, this.at / last)})`;
    const index = Math.min(this.length - 1, Math.floor(this.at * this.fps));
    for (const [name, film] of Object.entries(this.films)) draw(this.canvases[name], film[Math.min(index, film.length - 1)]);
  }
}

// Enlarged smoothly, to the screen's own pixels.
function draw(canvas, frame) {
  const size = Math.round(canvas.clientWidth * devicePixelRatio);
  if (canvas.width === size && canvas.shown === frame) return;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  canvas.shown = frame;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(frame, 0, 0, size, size);
}

// A strip's frames, each a bitmap of its own: smoothing cannot mix one with its neighbours.
async function cut(video) {
  const image = new Image();
  image.src = video.image;
  await image.decode();
  const { columns, width, height } = video;
  return Promise.all(Array.from({ length: video.frames }, (_, i) =>
    createImageBitmap(image, (i % columns) * width, Math.floor(i / columns) * height, width, height)));
}
