// A file of parameters (.npz, avatarmake/avatar/performance.py) -> frames that the page can play.

const SIZES = { expression: 100, jaw_pose: 3, eye_pose: 6, eyelids: 2 };
const REACH = 3; // standard deviations that a mean looks ahead and back
const LARGEST = 1 << 28; // bytes of an unpacked array

/** ArrayBuffer of an .npz -> {name: {shape, data}}; data is an array of numbers, or a string. Throws Error in words. */
export async function readNpz(buffer) {
  const arrays = {};
  for (const { name, method, size, at, packed } of entries(new DataView(buffer))) {
    if (!name.endsWith(".npy")) continue;
    if (size > LARGEST) throw new Error(`${name} is too large.`);
    const bytes = new Uint8Array(buffer, at, packed);
    if (method !== 0 && method !== 8) throw new Error(`${name} is packed in a way that is not read here.`);
    arrays[name.slice(0, -4)] = readNpy(method ? await inflate(bytes, size) : bytes.slice().buffer, name);
  }
  return arrays;
}

/** The zip's files, by its directory at the end. */
function* entries(view) {
  let end = view.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("This is no .npz file.");
  let at = view.getUint32(end + 16, true);
  for (let k = view.getUint16(end + 10, true); k > 0; k--) {
    if (view.getUint32(at, true) !== 0x02014b50) throw new Error("This .npz file is damaged.");
    const [letters, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const local = view.getUint32(at + 42, true);
    yield {
      name: new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, letters)),
      method: view.getUint16(at + 10, true),
      packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true),
      at: local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true),
    };
    at += 46 + letters + extra + comment;
  }
}

/** Raw deflate, `size` bytes at most. */
async function inflate(bytes, size) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const out = new Uint8Array(size);
  let filled = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (filled + part.value.length > size) throw new Error("This .npz file is damaged.");
    out.set(part.value, filled);
    filled += part.value.length;
  }
  return out.buffer;
}

function readNpy(buffer, name) {
  const view = new DataView(buffer);
  const wide = view.getUint8(6) > 1;
  const start = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(new Uint8Array(buffer, 0, start));
  const [, kind] = /'descr': '[<|]([a-zA-Z]\d+)'/.exec(header) ?? [];
  if (!kind || /'fortran_order': True/.test(header)) throw new Error(`${name} is of a kind that is not read here.`);
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((n) => n.trim()).map(Number);
  const count = shape.reduce((a, b) => a * b, 1), body = buffer.slice(start);
  if (kind[0] === "U") return { shape, data: String.fromCodePoint(...new Uint32Array(body)).replace(/\0+$/, "") };
  const Kind = { f4: Float32Array, f8: Float64Array, i4: Int32Array, i8: BigInt64Array }[kind];
  if (!Kind) throw new Error(`${name} holds ${kind}, which is not read here.`);
  return { shape, data: Array.from(new Kind(body, 0, count), Number) };
}

/**
 * What readNpz gave -> {times, expression, jaw_pose, eye_pose, eyelids, view, translation}: flat arrays, F frames. And
 * body_view, body_translation, where the avatar's body does not go along with its head.
 */
export function performance(arrays, { facts, joints }) {
  const missing = ["times", ...Object.keys(SIZES), "R", "t"].filter((name) => !(name in arrays));
  if (missing.length) throw new Error(`This is no file of parameters: it has no ${missing.join(", ")}.`);
  const digest = arrays.head_model_digest?.data;
  if (digest && digest !== facts.head_model_digest) throw new Error("It is of another head model than this avatar.");
  const times = arrays.times.data, frames = times.length;
  for (const [name, size] of Object.entries({ ...SIZES, R: 9, t: 3 })) {
    if (!frames || arrays[name].data.length !== frames * size || !arrays[name].data.every(Number.isFinite)) {
      throw new Error(`${name} is not ${frames} times ${size} numbers.`);
    }
  }
  const part = (name) => Float32Array.from(arrays[name].data);
  const view = Array.from({ length: frames }, (_, i) => viewOf(arrays.R.data.slice(9 * i, 9 * i + 9)));
  return {
    times: Float32Array.from(times, (time) => time - times[0]),
    ...Object.fromEntries(Object.keys(SIZES).map((name) => [name, part(name)])),
    view: Float32Array.from(view.flat()),
    translation: part("t"),
    ...(facts.body_seconds ? body(arrays, view, joints.subarray(3, 6), facts.body_seconds) : {}),
  };
}

/**
 * Where the body is under a head: its mean over some seconds, as in avatarmake/head_model/body.py, but of rotation
 * vectors, which is the same for turns as small as a body's. `joint` is the neck's.
 */
function body({ times: { data: times }, R, t }, view, joint, seconds) {
  const place = times.map((_, i) => rotated(R.data, 9 * i, joint).map((value, axis) => value + t.data[3 * i + axis]));
  const rows = view.map((values, i) => [...values, ...place[i]]), means = [];
  for (let i = 0, first = 0; i < rows.length; i++) {
    while (times[first] < times[i] - REACH * seconds) first++;
    const sums = new Float64Array(7); // the weights' own is the last
    for (let k = first; k < rows.length && times[k] <= times[i] + REACH * seconds; k++) {
      const weight = Math.exp(-0.5 * ((times[k] - times[i]) / seconds) ** 2);
      rows[k].forEach((value, c) => (sums[c] += weight * value));
      sums[6] += weight;
    }
    means.push(Array.from(sums.subarray(0, 6), (sum) => sum / sums[6]));
  }
  return {
    body_view: Float32Array.from(means.flatMap((mean) => mean.slice(0, 3))),
    body_translation: Float32Array.from(means.flatMap((mean) => {
      const turned = rotated(worldToCamera(mean), 0, joint);
      return turned.map((value, axis) => mean[3 + axis] - value);
    })),
  };
}

const rotated = (m, at, v) => [0, 3, 6].map((i) => m[at + i] * v[0] + m[at + i + 1] * v[1] + m[at + i + 2] * v[2]);

/** viewOf's inverse, for the first three of `mean`. */
function worldToCamera([x, y, z]) {
  const angle = Math.hypot(x, y, z) || 1e-12, s = Math.sin(angle) / angle, c = (1 - Math.cos(angle)) / (angle * angle);
  return [
    1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y,
    -c * x * y - s * z, c * (x * x + z * z) - 1, s * x - c * y * z,
    s * y - c * x * z, -s * x - c * y * z, c * (x * x + y * y) - 1,
  ];
}

/** World to camera (9) -> how the head is turned to the camera: avatarmake/avatar/model.py's view_of. */
export function viewOf(r) {
  return axisAngle(r.map((value, i) => (i < 3 ? value : -value)));
}

/** Rows of a matrix (9) -> axis-angle (3), by way of the quaternion. */
function axisAngle(m) {
  const trace = m[0] + m[4] + m[8];
  const four = [1 + trace, 1 + 2 * m[0] - trace, 1 + 2 * m[4] - trace, 1 + 2 * m[8] - trace];
  const w = [m[7] - m[5], m[2] - m[6], m[3] - m[1]], xy = m[1] + m[3], xz = m[2] + m[6], yz = m[5] + m[7];
  const rows = [
    [four[0], w[0], w[1], w[2]], [w[0], four[1], xy, xz], [w[1], xy, four[2], yz], [w[2], xz, yz, four[3]],
  ];
  const q = rows[four.indexOf(Math.max(...four))];
  const sign = q[0] < 0 ? -1 : 1, size = Math.hypot(...q);
  const [a, x, y, z] = q.map((value) => (sign * value) / size);
  const n = Math.hypot(x, y, z);
  const factor = n < 1e-12 ? 2 : (2 * Math.atan2(n, a)) / n;
  return [x * factor, y * factor, z * factor];
}

/** Frame i of a performance -> parameters, as evaluate.js takes them. */
export function parameters(p, i) {
  const at = (name, size) => Array.from(p[name].subarray(size * i, size * (i + 1)));
  const own = Object.fromEntries(Object.entries(SIZES).map(([name, size]) => [name, at(name, size)]));
  const places = ["view", "translation", "body_view", "body_translation"].filter((name) => p[name]);
  return { ...own, ...Object.fromEntries(places.map((name) => [name, at(name, 3)])) };
}

/** The frame that is shown at a time, which runs in circles. */
export function frameAt({ times }, time) {
  const last = times.length - 1, pause = last > 0 ? times[last] / last : 1;
  const now = time % (times[last] + pause);
  let low = 0, high = last;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= now) low = middle;
    else high = middle - 1;
  }
  return low;
}
