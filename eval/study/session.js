const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const STORE = `study-${data.study}`;
const SECONDS_A_COMPARISON = 15;
const WORDS = {
  continuity: {
    ask: "Which one moves more smoothly?",
    hint: "Never mind how sharp or pretty it is: fewer jumps, less flicker, no sudden changes of shape from one moment to the next.",
  },
  authenticity: {
    ask: "Which one looks more real?",
    hint: "Never mind the motion: more like a true video of what the picture shows, with nothing smeared, torn, bent or missing.",
  },
};

function below(limit) { // a random whole number in [0, limit)
  return Math.floor(crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32 * limit);
}

function shuffled(list) {
  const left = [...list];
  return list.map(() => left.splice(below(left.length), 1)[0]);
}

// One rater's session. `order`: items as they are shown, each with the video on the left; `asked`: the questions in the
// order in which this rater gets them; `answers`: one after the other, two an item.
function begin() {
  const sheet = below(data.sheets.length);
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  const session = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { session, sheet, order: shuffled(data.sheets[sheet]), asked: shuffled(data.questions), answers: [] };
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(STORE));
  } catch (error) {
    return forgetful(error);
  }
}

function remember() {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
  } catch (error) {
    forgetful(error);
  }
}

function forgetful(error) {
  tell(`This browser does not keep answers when the page is closed, so please finish in one go (${error.name}).`);
  return null;
}

function tell(problem) {
  element("problem").textContent = problem;
  element("problem").hidden = false;
}

let state = recall();
let since = 0;
const canvases = Object.fromEntries(["source", "driving", "left", "right"].map((name) => [name, element(name)]));
const player = new Player(canvases, element("time"), showControls);

function show(section) {
  for (const name of ["welcome", "trial", "end"]) element(name).hidden = name !== section;
}

function finished() {
  return state.answers.length === state.order.length * state.asked.length;
}

function current() {
  const [item, left] = state.order[Math.floor(state.answers.length / state.asked.length)];
  const right = data.items[item].videos.find((token) => token !== left);
  return { item, left, right, question: state.asked[state.answers.length % state.asked.length] };
}

function welcome() {
  const asked = state ? state.asked : data.questions;
  element("explained").replaceChildren(...asked.flatMap((name) => ["ask", "hint"].map((part) => {
    const line = document.createElement(part === "ask" ? "dt" : "dd");
    line.textContent = WORDS[name][part];
    return line;
  })));
  const count = data.sheets[0].length;
  element("count").textContent = count;
  element("minutes").textContent = Math.max(1, Math.round(count * SECONDS_A_COMPARISON / 60));
  element("start").textContent = state?.answers.length ? "Go on where you were" : "Start";
  show("welcome");
  element("start").focus();
}

// The next question, on the videos that are there or on new ones.
async function next() {
  remember();
  if (finished()) return end();
  const { item, left, right, question } = current();
  const count = Math.floor(state.answers.length / state.asked.length);
  show("trial");
  element("done").max = state.order.length;
  element("done").value = count;
  const which = state.asked.indexOf(question) + 1;
  element("place").textContent = `${count + 1} of ${state.order.length}, question ${which} of ${state.asked.length}`;
  element("question").textContent = WORDS[question].ask;
  element("hint").textContent = WORDS[question].hint;
  element("question").focus({ preventScroll: true });
  if (player.item !== item) {
    player.item = item;
    const { source, driving, fps } = data.items[item];
    const strips = { source, driving, left, right };
    for (const name in strips) strips[name] = data.videos[strips[name]];
    try {
      await player.load(strips, fps);
    } catch (error) {
      tell(`This browser cannot show the videos (${error.message}); please try another one.`);
    }
  }
  since = performance.now();
  showControls();
}

function showControls() {
  for (const side of ["left", "right"]) element(`choose-${side}`).disabled = !player.seen;
  element("back").disabled = !state?.answers.length;
  element("play").disabled = player.loading;
  element("play").firstChild.data = player.playing || player.loading ? "Pause " : "Play ";
  element("wait").textContent = player.seen || player.loading ? "" : player.playing ? "Watch to the end first" : "Press Play first";
}

function choose(side) {
  if (element("trial").hidden || !player.seen) return;
  const { item, question, [side]: choice } = current();
  const seconds = Math.round(performance.now() - since) / 1000;
  state.answers.push({ item, question, choice, seconds });
  next();
}

function back() {
  if (element("trial").hidden || !state.answers.length) return;
  state.answers.pop();
  next();
}

function end() {
  player.item = null;
  if (player.playing) player.toggle();
  element("file").textContent = fileName();
  show("end");
  element("end").querySelector("h1").focus();
}

function fileName() {
  return `votes-${state.session}.json`;
}

function save() {
  const { session, sheet, asked, answers } = state;
  const votes = { format: 1, study: data.study, session, sheet, asked, answers };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(votes, null, 1) + "\n"], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  element("saved").textContent = `Saved as ${link.download}, where your browser puts downloads.`;
  element("again").hidden = false;
}

element("start").onclick = () => {
  state ??= begin();
  next();
};
element("choose-left").onclick = () => choose("left");
element("choose-right").onclick = () => choose("right");
element("back").onclick = back;
element("play").onclick = () => player.toggle();
element("save").onclick = save;
element("again").onclick = () => {
  state = null;
  remember();
  location.reload();
};

const KEYS = {
  trial: {
    ArrowLeft: () => choose("left"), 1: () => choose("left"),
    ArrowRight: () => choose("right"), 2: () => choose("right"),
    Backspace: back, " ": () => player.toggle(),
  },
  end: { s: save },
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const section = ["welcome", "trial", "end"].find((name) => !element(name).hidden);
  const action = KEYS[section]?.[event.key.length > 1 ? event.key : event.key.toLowerCase()];
  if (!action || (event.key === " " && event.target.closest("button"))) return; // there, the space bar presses it
  event.preventDefault();
  if (!event.repeat) action(); // a key that is held down answers once
});

if (state && finished()) end();
else welcome();
