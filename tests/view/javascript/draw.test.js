import assert from "node:assert/strict";
import { test } from "node:test";

import { project } from "../../../stages/view/page/draw.js";
import { near, values } from "./values.js";

const gaussians = Object.fromEntries(Object.entries(values.gaussians).map(([k, v]) => [k, Float32Array.from(v)]));
const FLOATS = 12;

/** The splats as rows x, y, a, b, c, opacity, colour, as the kernel has them; (a, b, c) is the conic. */
function rows({ splats, count }) {
  return Array.from({ length: count }, (_, k) => {
    const [x, y, ax, ay, bx, by, opacity, power, ...colour] = splats.subarray(FLOATS * k, FLOATS * (k + 1));
    near([ax * bx + ay * by, opacity * Math.exp(power)], [0, 1 / 255], 1e-3, "right angle, alpha at the rim");
    const [a, b, c] = [ax * ax + bx * bx, ax * ay + bx * by, ay * ay + by * by].map((value) => value / (-2 * power));
    const det = a * c - b * b;
    return [x, y, c / det, -b / det, a / det, opacity, ...colour.slice(0, 3)];
  });
}

test("what the kernel projects, furthest first", () => {
  const found = rows(project(gaussians, values.camera));
  assert.equal(found.length, values.splats.length);
  found.forEach((row, k) => {
    const expected = values.splats[k];
    near(row, expected, 2e-3 * Math.max(1, Math.abs(expected[2])), `splat ${k}`);
  });
});

test("the arrays of an earlier answer are used again", () => {
  const room = project(gaussians, values.camera), first = rows(room);
  assert.equal(project(gaussians, values.camera, room), room);
  assert.deepEqual(rows(room), first);
});

test("what lies behind the camera, beside the picture, or is not to be seen, is left out", () => {
  const one = (mean, opacity) => ({
    means: Float32Array.from(mean), axes: Float32Array.of(0.01, 0, 0, 0, 0.01, 0, 0, 0, 0.01),
    opacities: Float32Array.of(opacity), colours: Float32Array.of(1, 0, 0),
  });
  const camera = {
    rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1], translation: [0, 0, 0],
    fx: 100, fy: 100, cx: 50, cy: 50, width: 100, height: 100,
  };
  assert.equal(project(one([0, 0, 1], 0.5), camera).count, 1);
  for (const [mean, opacity] of [[[0, 0, -1], 0.5], [[3, 0, 1], 0.5], [[0, -3, 1], 0.5], [[0, 0, 1], 0.003]]) {
    assert.equal(project(one(mean, opacity), camera).count, 0);
  }
});
