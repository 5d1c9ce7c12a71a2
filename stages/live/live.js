// The page with a camera: frames go to this machine's own process, which says what the avatar does.
//
// A frame is a header (seconds, width, height) and RGBA. Two are under way at most: what is late is left out.

const avatar = window.avatar;
const HEADER = 16, UNDER_WAY = 2;
const SIZE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const WORDS = { waiting: "Look into the camera, the face at rest.", lost: "No face is seen.", followed: "" };

const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
const camera = button("Camera"), record = button("Record"), figures = document.createElement("output");
const state = { socket: null, underWay: 0, told: 0, since: 0, delay: 0, took: 0, recording: false };

function button(text) {
  const made = Object.assign(document.createElement("button"), { textContent: text, id: text.toLowerCase() });
  document.getElementById("bar").append(made);
  return made;
}

async function start() {
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: SIZE, audio: false });
  await video.play();
  const socket = new WebSocket(`ws://${location.host}${location.pathname}socket`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (typeof data === "string" ? heard(JSON.parse(data)) : keep(data));
  socket.onclose = ({ reason }) => {
    stop();
    say(`The camera's process has ended. ${reason}`);
  };
  socket.onopen = () => next(send);
  Object.assign(state, { socket, underWay: 0, told: 0, since: performance.now() });
  avatar.play(false);
  camera.textContent = "Stop";
  record.hidden = false;
}

function stop() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (state.socket) leave(state.socket, state.recording);
  Object.assign(state, { socket: null, recording: false });
  camera.textContent = "Camera";
  record.textContent = "Record";
  record.hidden = true;
  say("");
}

/** What is being recorded is kept first. */
function leave(socket, recording) {
  socket.onclose = null;
  if (!recording || socket.readyState !== WebSocket.OPEN) return socket.close();
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") return;
    keep(data);
    socket.close();
  };
  return socket.send("stop");
}

/** Calls back with the time, in ms, at which the camera's next frame was there. */
function next(call) {
  if (!video.requestVideoFrameCallback) requestAnimationFrame(call);
  else video.requestVideoFrameCallback((now, { captureTime }) => call(captureTime ?? now));
}

function send(time) {
  if (!state.socket) return;
  const { videoWidth: width, videoHeight: height } = video;
  if (state.underWay < UNDER_WAY && state.socket.readyState === WebSocket.OPEN && width) {
    Object.assign(canvas, { width, height });
    context.drawImage(video, 0, 0);
    const message = new Uint8Array(HEADER + 4 * width * height), header = new DataView(message.buffer);
    header.setFloat64(0, time / 1000, true);
    header.setUint16(8, width, true);
    header.setUint16(10, height, true);
    message.set(context.getImageData(0, 0, width, height).data, HEADER);
    state.socket.send(message);
    state.underWay++;
  }
  next(send);
}

/** What the process says of a frame. */
function heard({ time, state: seen, parameters, took }) {
  state.underWay--;
  say(WORDS[seen]);
  if (!parameters) return;
  avatar.set(parameters);
  state.told++;
  state.took += 0.1 * (took - state.took);
  requestAnimationFrame(() => setTimeout(() => measured(performance.now() - 1000 * time))); // after it was drawn
}

function measured(delay) {
  state.delay += (state.told < 10 ? 0.5 : 0.1) * (delay - state.delay);
  const passed = performance.now() - state.since;
  if (passed < 1000) return;
  state.rate = (1000 * state.told) / passed;
  Object.assign(state, { told: 0, since: performance.now() });
  figures.value = `${state.rate.toFixed(0)} / s, ${state.delay.toFixed(0)} ms late`;
}

function say(text) {
  const message = document.getElementById("message");
  Object.assign(message, { textContent: text, hidden: !text });
}

/** A recording's bytes, as a file for `make drive BY=`. */
function keep(bytes) {
  if (!bytes.byteLength) return;
  const href = URL.createObjectURL(new Blob([bytes]));
  state.kept = bytes;
  Object.assign(document.createElement("a"), { download: `${avatar.facts.name}-live.npz`, href }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

camera.addEventListener("click", () => (state.socket ? stop() : start().catch((error) => say(error.message))));
record.hidden = true;
record.addEventListener("click", () => {
  state.recording = !state.recording;
  state.socket.send(state.recording ? "record" : "stop");
  record.textContent = state.recording ? "Keep" : "Record";
});
document.getElementById("bar").append(figures);
window.live = state;
