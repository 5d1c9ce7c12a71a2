// From the parameters of a frame to Gaussians: avatarmake/avatar's deformation, head and binding, in float32 arrays.
//
// Parameters are {expression (100), jaw_pose (3), eye_pose (6), eyelids (2), view (3), translation (3)}, rotations as
// axis-angle in radians; docs/conventions.md has them. `view` and `translation` are how the head stands before the
// camera; {body_view (3), body_translation (3)} how the body does, where it does not go along with the head.

const COLUMNS = 14; // offset 0:3, quaternion 3:7, log of scales 7:10, opacity 10, colour 11:14: see binding.py
const ROOT = 0, JAW = 2; // joints' numbers; the left eye's and the right eye's follow the jaw's

/** base64 of what packing.py wrote -> {facts, and every array by its name as Float32Array or Uint16Array}. */
export function unpack(text) {
  const { buffer } = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const length = new DataView(buffer).getUint32(0, true);
  const { facts, arrays } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const all = { facts };
  for (const [name, { kind, shape, at, scale }] of Object.entries(arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    all[name] = READERS[kind](buffer, 4 + length + at, count, scale);
  }
  return all;
}

const READERS = {
  float32: (buffer, at, count) => new Float32Array(buffer, at, count),
  uint16: (buffer, at, count) => new Uint16Array(buffer, at, count),
  float16: (buffer, at, count) => Float32Array.from(new Uint16Array(buffer, at, count), half),
  int16: (buffer, at, count, scale) => {
    const row = count / scale.length; // a scale for each row
    const steps = new Int16Array(buffer, at, count);
    return Float32Array.from(steps, (value, i) => value * scale[Math.floor(i / row)]);
  },
};

/** IEEE half precision -> number. What is not finite never comes here. */
function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  return bits & 0x8000 ? -size : size;
}

/** Axis-angle (3) in radians -> the rows of its matrix (9). */
export function matrix([x, y, z]) {
  const angle = Math.hypot(x, y, z);
  const s = angle < 1e-6 ? 1 : Math.sin(angle) / angle;
  const c = angle < 1e-6 ? 0.5 : (1 - Math.cos(angle)) / (angle * angle);
  const xx = c * x * x, yy = c * y * y, zz = c * z * z, xy = c * x * y, xz = c * x * z, yz = c * y * z;
  return [
    1 - yy - zz, xy - s * z, xz + s * y,
    xy + s * z, 1 - xx - zz, yz - s * x,
    xz - s * y, yz + s * x, 1 - xx - yy,
  ];
}

/** How a head is turned to the camera (3) -> world to camera, OpenCV's axes (9). */
const standing = (view) => matrix(view).map((value, i) => (i < 3 ? value : -value));
const transposed = (m) => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
const times = (m, v) => [0, 3, 6].map((i) => m[i] * v[0] + m[i + 1] * v[1] + m[i + 2] * v[2]);
const product = (a, b) => a.map((_, i) => times(a, [b[i % 3], b[3 + (i % 3)], b[6 + (i % 3)]])[Math.floor(i / 3)]);

/** One avatar: N Gaussians on V vertices. `gaussians` may be called for every frame; its arrays are used again. */
export class Avatar {
  /** What `unpack` gave. */
  constructor(pack) {
    Object.assign(this, pack);
    this.count = this.spacing.length;
    this.centre = centroid(this.rest);
    this.blended = new Float32Array(this.rest.length); // before anything turns
    this.vertices = new Float32Array(this.rest.length);
    this.turning = followers(this.weights, this.joints.length / 3);
    this.values = new Float32Array(this.count * COLUMNS);
    this.means = new Float32Array(3 * this.count);
    this.axes = new Float32Array(9 * this.count); // row by row; columns are the axes times their standard deviation
    this.opacities = new Float32Array(this.count);
    this.colours = new Float32Array(3 * this.count);
  }

  /** Parameters -> {means, axes, opacities, colours} in the world, as draw.js takes them. */
  gaussians(p) {
    this.deform(this.code(p));
    this.pose(p);
    return this.bind();
  }

  /**
   * Where the camera stands, as draw.js takes it, for a picture of width x height: as it was tracked, then gone round
   * the head's middle, until the face looks to the right by {yaw} and up by {pitch}, and nearer by {zoom}. The light
   * stays where it was: `view` does not follow.
   */
  camera(p, width, height, { yaw, pitch, zoom }) {
    const own = standing(p.view);
    const middle = times(own, this.centre).map((value, i) => value + p.translation[i]);
    const orbit = product(matrix([-pitch, 0, 0]), matrix([0, -yaw, 0]));
    const from = times(orbit, p.translation.map((value, i) => value - middle[i]));
    const focal = this.facts.focal * Math.min(width, height);
    return {
      rotation: product(orbit, own),
      translation: from.map((value, i) => value + (i < 2 ? middle[i] : middle[i] / zoom)),
      fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height,
    };
  }

  /** Principal components of the parameters, kept within what training saw. */
  code(p) {
    const raw = [...p.expression, ...p.jaw_pose, ...p.eye_pose, ...p.eyelids, ...p.view];
    const size = this.low.length;
    return Float64Array.from({ length: size }, (_, k) => {
      let sum = 0;
      for (let i = 0; i < raw.length; i++) sum += this.components[k * raw.length + i] * (raw[i] - this.mean[i]);
      return Math.min(Math.max(sum, this.low[k]), this.high[k]);
    });
  }

  /** base + relu(latent W + b) out, where the code writes W and b -> values (N, COLUMNS). */
  deform(code) {
    const hidden = dense(this.hidden_weight, this.hidden_bias, code).map((x) => Math.max(x, 0));
    const layer = dense(this.layer_weight, this.layer_bias, hidden);
    const { latent, base, out, values, count } = this;
    const rank = latent.length / count, width = layer.length / (rank + 1);
    const weights = new Float64Array(rank * width); // a feature's own lie beside each other
    for (let k = 0; k < rank; k++) for (let j = 0; j < width; j++) weights[j * rank + k] = layer[k * width + j];
    const row = new Float64Array(COLUMNS);
    for (let g = 0; g < count; g++) {
      for (let c = 0; c < COLUMNS; c++) row[c] = base[g * COLUMNS + c];
      for (let j = 0; j < width; j++) {
        let feature = layer[rank * width + j];
        for (let k = 0; k < rank; k++) feature += latent[g * rank + k] * weights[j * rank + k];
        if (feature > 0) for (let c = 0; c < COLUMNS; c++) row[c] += feature * out[j * COLUMNS + c];
      }
      for (let c = 0; c < COLUMNS; c++) values[g * COLUMNS + c] = row[c];
    }
  }

  /** The head's vertices: rest + basis coefficients, then jaw and eyeballs turned about their joints. */
  pose(p) {
    const { rest, basis, blended } = this, coefficients = [...p.expression, ...p.eyelids];
    const moving = basis.length / coefficients.length; // the vertices that the basis moves come first
    blended.set(rest);
    coefficients.forEach((factor, k) => {
      if (factor) for (let i = 0, at = k * moving; i < moving; i++, at++) blended[i] += factor * basis[at];
    });
    this.vertices.set(blended);
    [p.jaw_pose, p.eye_pose.slice(0, 3), p.eye_pose.slice(3)].forEach((turn, k) => this.turn(JAW + k, matrix(turn)));
    if (p.body_view) this.bend(p);
  }

  /** The root's part of each vertex goes where the body is, seen from the head: avatarmake/head_model/body.py. */
  bend(p) {
    const { vertices } = this, back = transposed(standing(p.view)), { ids, weights } = this.turning[ROOT];
    const r = product(back, standing(p.body_view));
    const shift = times(back, p.body_translation.map((value, i) => value - p.translation[i]));
    for (let k = 0; k < ids.length; k++) {
      const i = 3 * ids[k], w = weights[k], x = vertices[i], y = vertices[i + 1], z = vertices[i + 2];
      vertices[i] += w * (r[0] * x + r[1] * y + r[2] * z + shift[0] - x);
      vertices[i + 1] += w * (r[3] * x + r[4] * y + r[5] * z + shift[1] - y);
      vertices[i + 2] += w * (r[6] * x + r[7] * y + r[8] * z + shift[2] - z);
    }
  }

  /** Skinning, sum_j w_j (R_j (v - j) + j): a joint at a time, as what it adds to a head that nothing turns. */
  turn(joint, r) {
    const { blended, vertices } = this, [jx, jy, jz] = this.joints.subarray(3 * joint);
    const { ids, weights } = this.turning[joint];
    for (let k = 0; k < ids.length; k++) {
      const i = 3 * ids[k], w = weights[k];
      const x = blended[i] - jx, y = blended[i + 1] - jy, z = blended[i + 2] - jz;
      vertices[i] += w * ((r[0] - 1) * x + r[1] * y + r[2] * z);
      vertices[i + 1] += w * (r[3] * x + (r[4] - 1) * y + r[5] * z);
      vertices[i + 2] += w * (r[6] * x + r[7] * y + (r[8] - 1) * z);
    }
  }

  /** values (N, COLUMNS) on the triangles of the posed head -> Gaussians in the world: binding.py. */
  bind() {
    const { values, vertices: v, corners, barycentric, spacing, means, axes, opacities, colours } = this;
    const [low, high] = this.facts.log_scale;
    const frame = new Float64Array(9), q = new Float64Array(9);
    for (let g = 0; g < this.count; g++) {
      const at = g * COLUMNS, three = 3 * g, s = spacing[g];
      const a = 3 * corners[three], b = 3 * corners[three + 1], c = 3 * corners[three + 2];
      const w0 = barycentric[three], w1 = barycentric[three + 1], w2 = barycentric[three + 2];
      orient(frame, v, a, b, c);
      rotation(q, values[at + 3], values[at + 4], values[at + 5], values[at + 6]);
      const o0 = values[at] * s, o1 = values[at + 1] * s, o2 = values[at + 2] * s;
      for (let r = 0; r < 3; r++) {
        const f0 = frame[3 * r], f1 = frame[3 * r + 1], f2 = frame[3 * r + 2];
        const point = w0 * v[a + r] + w1 * v[b + r] + w2 * v[c + r];
        means[three + r] = point + f0 * o0 + f1 * o1 + f2 * o2;
        colours[three + r] = values[at + 11 + r];
        for (let k = 0; k < 3; k++) axes[9 * g + 3 * r + k] = f0 * q[k] + f1 * q[3 + k] + f2 * q[6 + k];
      }
      for (let k = 0; k < 3; k++) {
        const scale = s * Math.exp(Math.min(Math.max(values[at + 7 + k], low), high));
        axes[9 * g + k] *= scale;
        axes[9 * g + 3 + k] *= scale;
        axes[9 * g + 6 + k] *= scale;
      }
      opacities[g] = 1 / (1 + Math.exp(-values[at + 10]));
    }
    return { means, axes, opacities, colours };
  }
}

/** The mean of points (3n). */
function centroid(points) {
  const sums = [0, 0, 0];
  points.forEach((value, i) => (sums[i % 3] += value));
  return sums.map((sum) => sum / (points.length / 3));
}

/** weights (n,m) x (m) + bias (n). */
function dense(weights, bias, x) {
  return Float64Array.from(bias, (sum, i) => {
    for (let k = 0, at = i * x.length; k < x.length; k++) sum += weights[at + k] * x[k];
    return sum;
  });
}

/** weights (V,5) -> for each joint the vertices that follow it, and by how much. */
function followers(weights, joints) {
  return Array.from({ length: joints }, (_, joint) => {
    const of = (i) => weights[joints * i + joint];
    const ids = Uint32Array.from([...Array(weights.length / joints).keys()].filter(of));
    return { ids, weights: Float32Array.from(ids, of) };
  });
}

/** A triangle's frame into `out`, rows of (edge, normal x edge, normal). */
function orient(out, v, a, b, c) {
  let u0 = v[b] - v[a], u1 = v[b + 1] - v[a + 1], u2 = v[b + 2] - v[a + 2];
  const w0 = v[c] - v[a], w1 = v[c + 1] - v[a + 1], w2 = v[c + 2] - v[a + 2];
  let n0 = u1 * w2 - u2 * w1, n1 = u2 * w0 - u0 * w2, n2 = u0 * w1 - u1 * w0;
  const lu = 1 / Math.sqrt(u0 * u0 + u1 * u1 + u2 * u2 + 1e-24);
  const ln = 1 / Math.sqrt(n0 * n0 + n1 * n1 + n2 * n2 + 1e-24);
  u0 *= lu; u1 *= lu; u2 *= lu; n0 *= ln; n1 *= ln; n2 *= ln;
  out[0] = u0; out[1] = n1 * u2 - n2 * u1; out[2] = n0;
  out[3] = u1; out[4] = n2 * u0 - n0 * u2; out[5] = n1;
  out[6] = u2; out[7] = n0 * u1 - n1 * u0; out[8] = n2;
}

/** A quaternion of any length -> the rows of its matrix into `out`. */
function rotation(out, w, i, j, k) {
  const n = 1 / Math.sqrt(w * w + i * i + j * j + k * k + 1e-24);
  w *= n; i *= n; j *= n; k *= n;
  out[0] = 1 - 2 * (j * j + k * k); out[1] = 2 * (i * j - w * k); out[2] = 2 * (i * k + w * j);
  out[3] = 2 * (i * j + w * k); out[4] = 1 - 2 * (i * i + k * k); out[5] = 2 * (j * k - w * i);
  out[6] = 2 * (i * k - w * j); out[7] = 2 * (j * k + w * i); out[8] = 1 - 2 * (i * i + j * j);
}
