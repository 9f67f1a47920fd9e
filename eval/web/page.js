"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

// Sorting: by the mean where cells have one, else by the words; cells without a value stay last either way.
for (const head of document.querySelectorAll(".sortable th button")) {
  head.addEventListener("click", () => {
    const cell = head.parentElement, body = cell.closest("table").tBodies[0];
    const turn = cell.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of cell.parentElement.children) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
    const key = (row) => {
      const { dataset, textContent, classList } = row.cells[cell.cellIndex];
      if (dataset.value !== undefined) return Number(dataset.value);
      return classList.contains("missing") || !textContent ? null : textContent;
    };
    const compare = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      return turn * (typeof a === "number" ? a - b : a.localeCompare(b));
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  });
}

// Videos. One clock for all; a group is decoded when it comes into sight, and drawn while it is in sight.
const clock = { time: 0, last: 0, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches };
const longest = Math.max(0, ...data.groups.map((group) => group.frames / group.fps)) || 1; // seconds
const steps = Math.max(1, ...data.groups.map((group) => group.frames));
const picture = async (name) => {
  const image = new Image();
  image.src = "data:image/webp;base64," + data.pictures[name];
  await image.decode();
  return image;
};

function showVideo(group, video, index) {
  const canvas = make("canvas", { width: group.width, height: group.height });
  const values = video.values.map(([title, value]) => `${title} ${value}`).join(" · ");
  const node = make("figure", { className: "video" }, canvas, make("b", { textContent: video.label }), make("small", { textContent: values }));
  node.dataset.set = group.dataset;
  for (const key of ["method", "mode"]) if (video[key]) node.dataset[key] = video[key];
  if (!video.main) node.dataset.ablation = "";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${video.label}: ${group.title}`);
  return { video, node, canvas, context: canvas.getContext("2d"), given: index < group.given, image: null };
}

const groups = data.groups.map((group) => {
  const tiles = group.videos.map((video, index) => showVideo(group, video, index));
  const box = make("div", { className: "videos" }, ...tiles.map((tile) => tile.node));
  const node = make("article", {}, make("h4", { textContent: group.title + " " }, make("small", { textContent: group.note })), box);
  node.dataset.set = group.dataset;
  node.dataset.mode = [...new Set(group.videos.map((video) => video.mode).filter(Boolean))].join("|");
  $("groups").append(node);
  return { group, tiles, node, seen: false, drawn: "" };
});

async function load(entry) {
  for (const tile of entry.tiles) {
    if (tile.image || tile.node.hidden) continue;
    tile.image = await picture(`${entry.group.dataset}/${tile.video.strip}`);
  }
  entry.drawn = "";
}

function paint(tile, image, frame, { width, height }) {
  const column = image.width > width ? frame : 0; // a still has one frame
  tile.context.drawImage(image, column * width, 0, width, height, 0, 0, width, height);
}

function draw(entry) {
  const { group, tiles } = entry, difference = $("difference").checked;
  const frame = Math.floor(clock.time * group.fps + 1e-6) % group.frames;
  const state = `${frame} ${difference}`;
  if (state === entry.drawn) return;
  entry.drawn = state;
  const real = tiles[group.given - 1].image;
  for (const tile of tiles) {
    if (!tile.image || tile.node.hidden) continue;
    paint(tile, tile.image, frame, group);
    if (difference && real && !tile.given && group.task === "reconstruction") {
      tile.context.globalCompositeOperation = "difference";
      paint(tile, real, frame, group);
      tile.context.globalCompositeOperation = "lighter"; // twice as bright, and again
      for (let i = 0; i < 2; i++) tile.context.drawImage(tile.canvas, 0, 0);
      tile.context.globalCompositeOperation = "source-over";
    }
    tile.canvas.dataset.frame = frame;
  }
}

const inSight = new IntersectionObserver((changes) => {
  for (const change of changes) {
    const entry = groups.find((one) => one.node === change.target);
    entry.seen = change.isIntersecting;
    if (entry.seen) load(entry);
  }
}, { rootMargin: "200px" });
for (const entry of groups) inSight.observe(entry.node);

// The first screen's videos, and the clock that they share with the others.
const opening = data.first && { seen: false, drawn: -1, tiles: [...document.querySelectorAll("#moving canvas")].map((canvas, index) =>
  ({ context: canvas.getContext("2d"), canvas, strip: data.first.strips[index], still: data.first.still && index === 0 })) };
if (opening) {
  Promise.all(opening.tiles.map(async (tile) => { tile.image = await picture(tile.strip); })).then(() => { opening.drawn = -1; });
  new IntersectionObserver(([change]) => { opening.seen = change.isIntersecting; }).observe($("moving"));
}

function drawOpening() {
  const frame = Math.floor(clock.time * data.first.fps + 1e-6) % data.first.frames;
  if (frame === opening.drawn || opening.tiles.some((tile) => !tile.image)) return;
  opening.drawn = frame;
  for (const tile of opening.tiles) {
    paint(tile, tile.image, tile.still ? 0 : frame, data.first);
    tile.canvas.dataset.frame = frame;
  }
}

function tick(now) {
  if (clock.playing) clock.time = (clock.time + ((now - clock.last) / 1000) * Number($("speed").value)) % longest;
  clock.last = now;
  const position = Math.floor((clock.time / longest) * steps + 1e-6);
  if (Number($("time").value) !== position) $("time").value = position;
  $("frame").value = position;
  for (const entry of groups) if (entry.seen) draw(entry);
  if (opening && opening.seen) drawOpening();
  requestAnimationFrame(tick);
}
const buttons = document.querySelectorAll("button.play");
const label = () => { for (const button of buttons) button.textContent = clock.playing ? "Pause" : "Play"; };
$("time").max = steps - 1;
for (const button of buttons) button.addEventListener("click", () => { clock.playing = !clock.playing; label(); });
$("time").addEventListener("input", () => {
  clock.playing = false;
  clock.time = (Number($("time").value) / steps) * longest;
  label();
});
label();
requestAnimationFrame(tick);

// Failures: cards are made when their metric is chosen.
const titles = [...new Set(data.cards.map((card) => card.metric))];
$("metric").append(...titles.map((title) => make("option", { textContent: title })));
function showCards() {
  const chosen = data.cards.filter((card) => card.metric === $("metric").value);
  $("cards").replaceChildren(...chosen.map((card) => {
    const canvas = make("canvas");
    picture(`${card.dataset}/${card.strip}`).then((image) => {
      Object.assign(canvas, { width: image.width, height: image.height });
      canvas.getContext("2d").drawImage(image, 0, 0);
    });
    const where = `${card.clip}, frame ${card.frame}`;
    const node = make("figure", { className: "card" }, canvas,
      make("b", { textContent: `${card.run}, ${card.mode}` }),
      make("small", { textContent: `${card.metric} ${card.value} · ${where} · ${card.shows.join(" | ")}` }));
    Object.assign(node.dataset, { set: card.dataset, method: card.method, mode: card.mode });
    return node;
  }));
  filter();
}
$("metric").addEventListener("change", showCards);

// Filters: what carries a key of another value than the chosen one is hidden; what does not carry it stays.
function filter() {
  const chosen = [...document.querySelectorAll("[data-filter]")].filter((menu) => menu.value);
  for (const node of document.querySelectorAll("[data-set], [data-method], [data-mode], [data-protocol]")) {
    const off = chosen.some((menu) => {
      const has = node.dataset[menu.dataset.filter];
      return has !== undefined && has !== menu.value && !has.split("|").includes(menu.value);
    });
    node.hidden = off || ("ablation" in node.dataset && !$("others").checked);
  }
  for (const entry of groups) if (entry.seen) load(entry);
}
for (const menu of document.querySelectorAll("[data-filter]")) menu.addEventListener("change", filter);
$("others").addEventListener("change", filter);
$("others").parentElement.hidden = !data.groups.some((group) => group.videos.some((video) => !video.main));
new ResizeObserver(([bar]) => {
  document.documentElement.style.setProperty("--top", `${bar.target.offsetHeight}px`);
}).observe($("filters"));
showCards();

// A link to a section opens it.
function reveal() {
  const section = document.getElementById(location.hash.slice(1));
  if (!section || section.parentElement.tagName !== "MAIN") return;
  section.querySelector("details").open = true;
  section.scrollIntoView();
}
addEventListener("hashchange", reveal);
for (const link of document.querySelectorAll("nav a")) link.addEventListener("click", () => setTimeout(reveal));
reveal();
