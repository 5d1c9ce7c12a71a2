import assert from "node:assert/strict";
import { test } from "node:test";

import { frameAt, parameters, performance, readNpz } from "../../../stages/view/page/performance.js";
import { file, near, values } from "./values.js";

const facts = { head_model_digest: values.digest, body_seconds: values.seconds };
const avatar = { facts, joints: Float32Array.from(values.joints) };
const WITHIN = { body_view: 2e-3, body_translation: 2e-4 }; // a mean of rotation vectors, and between knots no line
const bytes = (name) => new Uint8Array(file(name)).buffer;

for (const name of ["stored", "deflated"]) {
  test(`an .npz, ${name}`, async () => {
    const played = performance(await readNpz(bytes(name)), avatar);
    near(played.times, values.times, 1e-6, "times");
    values.frames.forEach((expected, i) => {
      const found = parameters(played, i);
      assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
      for (const part of Object.keys(expected)) near(found[part], expected[part], WITHIN[part] ?? 2e-6, part);
    });
  });
}

test("what is no file of parameters is refused in words", async () => {
  const words = new TextEncoder().encode("no zip at all, and longer than its end").buffer;
  await assert.rejects(async () => readNpz(words), /no \.npz/);
  await assert.rejects(async () => performance(await readNpz(bytes("other")), avatar), /it has no times/);
  const arrays = await readNpz(bytes("stored"));
  const another = { ...avatar, facts: { head_model_digest: "another" } };
  assert.throws(() => performance(arrays, another), /another head model/);
  const broken = { ...arrays, eyelids: { data: [1, 2, 3] } };
  assert.throws(() => performance(broken, avatar), /eyelids is not/);
});

test("a damaged file is refused", async () => {
  const whole = new Uint8Array(bytes("deflated"));
  for (let at = 0; at < whole.length; at += 997) {
    const damaged = whole.slice();
    damaged[at] ^= 0x55;
    try {
      performance(await readNpz(damaged.buffer), avatar);
    } catch (error) {
      assert.ok(error instanceof Error);
    }
  }
});

test("the frame of a time: times need not be regular, and it runs in circles", () => {
  const played = { times: Float32Array.of(0, 0.125, 0.5, 1) };
  const shown = [0, 0.1, 0.125, 0.49, 0.5, 0.99, 1, 1.3, 1.34].map((time) => frameAt(played, time));
  assert.deepEqual(shown, [0, 0, 1, 1, 2, 2, 3, 3, 0]);
  assert.equal(frameAt({ times: Float32Array.of(0) }, 12.3), 0);
});
