// Gaussians on a canvas: avatarmake/avatar's projection in JavaScript, its blending in WebGL2.
//
// alpha = min(opacity exp(-d^T conic d / 2), 0.99), nothing below 1/255; blended back to front, which is the kernel's
// front to back but for its stop at T <= 1e-4. Half floats, because every layer rounds. No picture is older than the
// parameters: what is projected is sorted before it is drawn.

const LOW_PASS = 0.3; // px^2
const NEAR = 0.01; // metres
const ALPHA_MIN = 1 / 255, ALPHA_MAX = 0.99;
// Floats of a projected Gaussian: centre, two half axes to where alpha is 1/255, opacity, power there, colour, nothing.
const SPLAT = 12;
const ROW = 1023; // texels of a row of the texture that holds them: whole splats, of three texels each

/**
 * Gaussians -> {splats, count}: those that are seen, projected, the furthest first.
 *
 * camera: {rotation (9), translation (3), fx, fy, cx, cy, width, height}, world to camera, OpenCV's axes; pixel centres
 * at +0.5. `room` is an earlier answer, whose arrays are used again.
 */
export function project({ means, axes, opacities, colours }, camera, room = workspace(opacities.length)) {
  const { rotation: r, translation: t, fx, fy, cx, cy, width, height } = camera;
  const { unsorted, depths, order } = room;
  let count = 0;
  for (let i = 0; i < opacities.length; i++) {
    const m0 = means[3 * i], m1 = means[3 * i + 1], m2 = means[3 * i + 2];
    const z = r[6] * m0 + r[7] * m1 + r[8] * m2 + t[2];
    if (z < NEAR || opacities[i] < ALPHA_MIN) continue;
    const x = r[0] * m0 + r[1] * m1 + r[2] * m2 + t[0], y = r[3] * m0 + r[4] * m1 + r[5] * m2 + t[1];
    const jx = fx / z, jxz = (-fx * x) / (z * z), jy = fy / z, jyz = (-fy * y) / (z * z);
    let a = LOW_PASS, b = 0, c = LOW_PASS;
    for (let k = 0; k < 3; k++) {
      const a0 = axes[9 * i + k], a1 = axes[9 * i + 3 + k], a2 = axes[9 * i + 6 + k];
      const across = r[6] * a0 + r[7] * a1 + r[8] * a2;
      const g = jx * (r[0] * a0 + r[1] * a1 + r[2] * a2) + jxz * across;
      const h = jy * (r[3] * a0 + r[4] * a1 + r[5] * a2) + jyz * across;
      a += g * g; b += g * h; c += h * h;
    }
    const reach = 2 * Math.log(opacities[i] * 255); // alpha >= 1/255 where d^T conic d <= reach
    const u = jx * x + cx, v = jy * y + cy, ex = Math.sqrt(reach * a), ey = Math.sqrt(reach * c);
    if (!(a * c - b * b > 0) || u + ex < 0 || u - ex > width || v + ey < 0 || v - ey > height) continue;
    const at = count * SPLAT;
    unsorted[at] = u; unsorted[at + 1] = v;
    ellipse(unsorted, at + 2, a, b, c, reach);
    unsorted[at + 6] = opacities[i]; unsorted[at + 7] = -reach / 2;
    unsorted[at + 8] = colours[3 * i]; unsorted[at + 9] = colours[3 * i + 1]; unsorted[at + 10] = colours[3 * i + 2];
    depths[count] = z;
    order[count] = count++;
  }
  const sorted = byDepth(room, count);
  for (let k = 0; k < count; k++) {
    const from = sorted[count - 1 - k] * SPLAT;
    for (let j = 0, to = k * SPLAT; j < SPLAT; j++) room.splats[to + j] = unsorted[from + j];
  }
  room.count = count;
  return room;
}

/** The half axes of d^T conic d = reach, whose covariance is (a, b; b, c): two vectors into `out`. */
function ellipse(out, at, a, b, c, reach) {
  const middle = (a + c) / 2, apart = Math.hypot((a - c) / 2, b);
  let x = b, y = middle + apart - a; // along the longer one
  const size = Math.hypot(x, y);
  [x, y] = size > 1e-6 * middle ? [x / size, y / size] : a < c ? [0, 1] : [1, 0];
  const long = Math.sqrt(reach * (middle + apart)), short = Math.sqrt(reach * Math.max(middle - apart, 0));
  out[at] = x * long; out[at + 1] = y * long;
  out[at + 2] = -y * short; out[at + 3] = x * short;
}

function workspace(n) {
  const depths = new Float32Array(n);
  return {
    splats: new Float32Array(Math.ceil((3 * n) / ROW) * ROW * 4), unsorted: new Float32Array(n * SPLAT), count: 0,
    depths, bits: new Uint32Array(depths.buffer), order: new Uint32Array(n), other: new Uint32Array(n),
    counts: new Uint32Array(65537),
  };
}

/** The order of the depths, nearest first: a radix sort, for positive floats sort as their bits do. Stable. */
function byDepth({ bits, order, other, counts }, n) {
  let from = order, to = other;
  for (const shift of [0, 16]) {
    counts.fill(0);
    for (let k = 0; k < n; k++) counts[((bits[k] >>> shift) & 0xffff) + 1]++;
    for (let k = 0; k < 65536; k++) counts[k + 1] += counts[k];
    for (let k = 0; k < n; k++) to[counts[(bits[from[k]] >>> shift) & 0xffff]++] = from[k];
    [from, to] = [to, from];
  }
  return from;
}

const SPLAT_VERTEX = `#version 300 es
precision highp sampler2D;
uniform sampler2D splats;  // three texels each: centre and one half axis | the other, opacity, power there | colour
uniform vec2 size;
out vec2 d;  // in half axes
flat out vec2 layer;
flat out vec3 paint;

void main() {
  int texel = gl_VertexID / 6 * 3, turn = gl_VertexID % 6, k = turn < 3 ? turn : turn - 2;  // corners 012 and 123
  ivec2 at = ivec2(texel % ${ROW}, texel / ${ROW});
  vec4 first = texelFetch(splats, at, 0), second = texelFetch(splats, at + ivec2(1, 0), 0);
  paint = texelFetch(splats, at + ivec2(2, 0), 0).rgb;
  layer = second.zw;
  d = vec2(k & 1, k >> 1) * 2.0 - 1.0;
  vec2 place = (first.xy + d.x * first.zw + d.y * second.xy) / size * 2.0 - 1.0;
  gl_Position = vec4(place.x, -place.y, 0, 1);
}`;

const SPLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec2 d;
flat in vec2 layer;
flat in vec3 paint;
out vec4 colour;

void main() {
  float alpha = min(layer.x * exp(layer.y * dot(d, d)), ${ALPHA_MAX});
  alpha = alpha < ${ALPHA_MIN} ? 0.0 : alpha;  // discard would cost more than what it spares
  colour = vec4(paint * alpha, alpha);
}`;

const COPY_VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1);
}`;

const COPY_FRAGMENT = `#version 300 es
precision highp float;
uniform highp sampler2D image;
out vec4 colour;

void main() {
  colour = vec4(texelFetch(image, ivec2(gl_FragCoord.xy), 0).rgb, 1);
}`;

/** Draws on one canvas. Throws where the browser has no WebGL2. */
export class Painter {
  constructor(canvas) {
    const wanted = { alpha: false, antialias: false, depth: false };
    const gl = canvas.getContext("webgl2", wanted);
    if (!gl) throw new Error("This browser has no WebGL2, which draws the avatar.");
    this.gl = gl;
    this.splats = program(gl, SPLAT_VERTEX, SPLAT_FRAGMENT);
    this.copy = program(gl, COPY_VERTEX, COPY_FRAGMENT);
    this.size = gl.getUniformLocation(this.splats, "size");
    this.data = texture(gl);
    this.texture = texture(gl);
    this.target = gl.createFramebuffer();
    this.precision = finest(gl);
  }

  /** What `project` gave, for a camera of the canvas's size, over a background of three numbers in 0..1. */
  paint({ splats, count }, background) {
    const { gl } = this, { width, height } = gl.canvas;
    this.fit(width, height);
    gl.viewport(0, 0, width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(this.splats);
    gl.uniform2f(this.size, width, height);
    gl.bindTexture(gl.TEXTURE_2D, this.data);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, ROW, splats.length / 4 / ROW, 0, gl.RGBA, gl.FLOAT, splats);
    gl.drawArrays(gl.TRIANGLES, 0, 6 * count);
    gl.disable(gl.BLEND);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.useProgram(this.copy);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** A target as large as the canvas. */
  fit(width, height) {
    const { gl } = this;
    if (this.width === width && this.height === height) return;
    [this.width, this.height] = [width, height];
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    const [format, kind] = this.precision;
    gl.texImage2D(gl.TEXTURE_2D, 0, format, width, height, 0, gl.RGBA, kind, null);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0);
  }
}

/** What layers are added up in: the finest kind of number that this machine can blend. */
function finest(gl) {
  const float = gl.getExtension("EXT_color_buffer_float");
  if (float && gl.getExtension("EXT_float_blend")) return [gl.RGBA32F, gl.FLOAT];
  if (float || gl.getExtension("EXT_color_buffer_half_float")) return [gl.RGBA16F, gl.HALF_FLOAT];
  return [gl.RGBA8, gl.UNSIGNED_BYTE];
}

function texture(gl) {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return made;
}

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(`WebGL: ${gl.getProgramInfoLog(made)}`);
  return made;
}
