// What the Python half of a test wrote for this half, and how numbers are compared.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const file = (name) => readFileSync(`${process.env.VALUES}/${name}`);
export const values = JSON.parse(file("values.json"));

/** Every number within `tolerance` of the expected one. */
export function near(found, expected, tolerance, what) {
  assert.equal(found.length, expected.length, what);
  for (let i = 0; i < found.length; i++) {
    const off = Math.abs(found[i] - expected[i]);
    assert.ok(off <= tolerance, `${what}[${i}] is ${found[i]}, expected ${expected[i]} within ${tolerance}`);
  }
}
