// The page: what is shown, from where, and what the hands do. evaluate.js and draw.js know nothing of it.

import { gestures, sliders } from "./controls.js";
import { Painter, project } from "./draw.js";
import { Avatar, unpack } from "./evaluate.js";
import { frameAt, parameters, performance as performanceOf, readNpz } from "./performance.js";

const element = (id) => document.getElementById(id);
const canvas = document.querySelector("canvas");
const FRONT = { yaw: 0, pitch: 0, zoom: 1 };
const RIGHT_ANGLE = Math.PI / 2;
const SIDES = [384, 512, 640, 768, 1024, 1400]; // of the picture, in pixels: how large depends on how fast it is drawn
const SLOW = 45, FAST = 12; // milliseconds a picture, at which a smaller or a larger one is tried

const state = {
  parameters: null, // what is shown; sliders, time and files write it
  orbit: { ...FRONT },
  playing: false,
  chosen: null, // of the performances
  time: 0, // seconds into it
  frame: -1, // of it, while that is what is shown
  moved: true, // the parameters have changed since they were evaluated
  turned: true, // something has changed since the last picture
  side: 1, // of SIDES
};
const performances = new Map(); // by name: what can be played
let avatar, painter, gaussians, room, show;

// --- what is seen ----------------------------------------------------------------------------------------------------

function paint(orbit = state.orbit, background = paper()) {
  if (state.moved || !gaussians) gaussians = avatar.gaussians(state.parameters);
  room = project(gaussians, avatar.camera(state.parameters, canvas.width, canvas.height, orbit), room);
  painter.paint(room, background);
  state.moved = state.turned = false;
}

/** The colour that the avatar stands before. */
function paper() {
  const colour = getComputedStyle(element("stage")).backgroundColor;
  return colour.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255);
}

/** The canvas's own pixels: as many as the screen has there, or as can be drawn in time. */
function fit() {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = Math.min(window.devicePixelRatio, SIDES[state.side] / Math.min(width, height));
  const [w, h] = [width, height].map((value) => Math.max(Math.round(value * scale), 1));
  if (canvas.width !== w || canvas.height !== h) {
    Object.assign(canvas, { width: w, height: h });
    state.turned = true;
  }
}

// --- time ------------------------------------------------------------------------------------------------------------

let last = 0, pace = 30, pictures = 0;

function tick(now) {
  const passed = Math.min(now - last, 1000);
  last = now;
  if (state.playing) {
    state.time += passed / 1000;
    showFrame(frameAt(state.chosen, state.time));
  }
  if (state.turned || state.moved) {
    fit();
    paint();
    pace += 0.1 * (passed - pace);
    if (++pictures % 20 === 0) adapt();
  }
  requestAnimationFrame(tick);
}

function adapt() {
  const wanted = state.side + (pace > SLOW ? -1 : pace < FAST ? 1 : 0);
  state.side = Math.min(Math.max(wanted, 0), SIDES.length - 1);
  element("speed").value = `${Math.round(1000 / pace)} / s`;
}

function showFrame(i) {
  if (state.frame === i) return;
  set(parameters(state.chosen, i));
  state.frame = i;
  element("time").value = i;
}

/** Parameters, or some of them, as evaluate.js takes them. */
function set(some) {
  state.parameters = { ...state.parameters, ...some };
  state.moved = true;
  state.frame = -1;
  show(state.parameters);
}

function play(on) {
  state.playing = on;
  element("play").textContent = on ? "❚❚" : "▶";
  element("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

function choose(name) {
  state.chosen = performances.get(name);
  state.time = 0;
  state.frame = -1; // none of its
  element("chosen").replaceChildren(...[...performances.keys()].map((known) => new Option(known, known)));
  element("chosen").value = name;
  element("chosen").hidden = performances.size < 2;
  element("time").max = state.chosen.times.length - 1;
}

async function open(file) {
  try {
    performances.set(file.name, performanceOf(await readNpz(await file.arrayBuffer()), avatar));
    choose(file.name);
    play(true);
    tell(`${file.name}: ${state.chosen.times.length} frames`);
  } catch (error) {
    tell(`${file.name}: ${error.message}`);
  }
}

/** A drive's arrays, which lie among the avatar's as `anna/times` and so on. */
function driven(name) {
  const own = Object.entries(avatar).filter(([key]) => key.startsWith(`${name}/`));
  return Object.fromEntries(own.map(([key, values]) => [key.slice(name.length + 1), values]));
}

function tell(text) {
  Object.assign(element("message"), { textContent: text, hidden: false });
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => (element("message").hidden = true), 6000);
}

// --- hands -----------------------------------------------------------------------------------------------------------

function look(yaw, pitch, zoom = 1) {
  const o = state.orbit;
  o.yaw = Math.min(Math.max(o.yaw + yaw, -RIGHT_ANGLE), RIGHT_ANGLE);
  o.pitch = Math.min(Math.max(o.pitch + pitch, -RIGHT_ANGLE / 2), RIGHT_ANGLE / 2);
  o.zoom = Math.min(Math.max(o.zoom * zoom, 0.4), 6);
  state.turned = true;
}

const doings = {
  " ": () => play(!state.playing),
  n: () => { play(false); set(rest()); },
  r: () => { state.orbit = { ...FRONT }; state.turned = true; },
  s: () => save(),
  f: () => (document.fullscreenElement ? document.exitFullscreen() : element("stage").requestFullscreen()),
  ArrowLeft: () => look(-0.08, 0), ArrowRight: () => look(0.08, 0),
  ArrowUp: () => look(0, 0.06), ArrowDown: () => look(0, -0.06),
  "+": () => look(0, 0, 1.1), "=": () => look(0, 0, 1.1), "-": () => look(0, 0, 1 / 1.1),
};

/** No expression, the mouth closed, the eyes open; the head stays where it is. */
function rest() {
  const { expression, jaw_pose, eye_pose, eyelids } = state.parameters;
  const zero = (values) => values.map(() => 0);
  return { expression: zero(expression), jaw_pose: zero(jaw_pose), eye_pose: zero(eye_pose), eyelids: zero(eyelids) };
}

function save() {
  paint();
  const content = { download: `${avatar.facts.name}.png`, href: canvas.toDataURL() };
  Object.assign(document.createElement("a"), content).click();
}

function listen() {
  gestures(canvas, look, doings.r);
  document.addEventListener("keydown", (event) => {
    const own = event.target.matches("input, select, button") && /^( |Arrow.*)$/.test(event.key); // what those do
    if (own || event.ctrlKey || event.metaKey || event.altKey || !doings[event.key]) return;
    event.preventDefault();
    doings[event.key]();
  });
  const buttons = { play: " ", reset: "r", neutral: "n", picture: "s", full: "f" };
  for (const [id, key] of Object.entries(buttons)) element(id).addEventListener("click", doings[key]);
  element("full").hidden = !document.fullscreenEnabled;
  element("time").addEventListener("input", (event) => {
    play(false);
    state.time = state.chosen.times[event.target.valueAsNumber];
    showFrame(event.target.valueAsNumber);
  });
  element("chosen").addEventListener("change", (event) => {
    choose(event.target.value);
    play(true);
  });
  element("open").addEventListener("change", (event) => open(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
    });
  }
  new ResizeObserver(() => (state.turned = true)).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (state.turned = true));
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    painter = new Painter(canvas);
    state.turned = true;
  });
}

/** For a script, or the browser's console: a picture of `side` pixels from the tracked camera, as data: of a PNG. */
function picture(side, some = {}, background = [1, 1, 1]) {
  play(false);
  set(some);
  Object.assign(canvas, { width: side, height: side });
  paint(FRONT, background);
  state.turned = true; // the canvas gets its own size again
  return canvas.toDataURL();
}

function start() {
  painter = new Painter(canvas);
  avatar = new Avatar(unpack(element("avatar").textContent));
  performances.set("the tracked video", avatar);
  for (const name of avatar.facts.drives) performances.set(name, driven(name));
  choose("the tracked video");
  show = sliders(element("sliders"), avatar.facts, (part, at, value) => {
    play(false);
    const changed = [...state.parameters[part]];
    for (const i of at) changed[i] = value;
    set({ [part]: changed });
  });
  listen();
  state.time = state.chosen.times[avatar.facts.start];
  showFrame(avatar.facts.start);
  requestAnimationFrame(tick);
  window.avatar = { facts: avatar.facts, state, set, play, open, picture, look };
}

try {
  start();
} catch (error) {
  Object.assign(element("message"), { textContent: error.message, hidden: false });
  throw error;
}
