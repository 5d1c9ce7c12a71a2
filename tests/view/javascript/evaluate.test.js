import { test } from "node:test";

import { Avatar, matrix, unpack } from "../../../stages/view/page/evaluate.js";
import { file, near, values } from "./values.js";

const avatar = new Avatar(unpack(file("packed").toString()));

values.poses.forEach((pose, k) => {
  const { code, vertices, gaussians } = values.expected[k];

  test(`pose ${k}: the code`, () => near(avatar.code(pose), code, values.within.code, "code"));

  test(`pose ${k}: the head`, () => {
    avatar.pose(pose);
    near(avatar.vertices, vertices, values.within.vertices, "vertices");
  });

  test(`pose ${k}: the Gaussians`, () => {
    const found = avatar.gaussians(pose);
    for (const [name, expected] of Object.entries(gaussians)) near(found[name], expected, values.within[name], name);
  });
});

test("rotations", () => {
  for (const { turn, rows } of values.rotations) near(matrix(turn), rows, 1e-6, `matrix(${turn})`);
});

test("the camera stands where the head was tracked", () => {
  values.cameras.forEach(({ rotation, translation, focal }, k) => {
    const camera = avatar.camera(values.poses[k], 300, 200, { yaw: 0, pitch: 0, zoom: 1 });
    near(camera.rotation, rotation, 1e-6, "rotation");
    near(camera.translation, translation, 1e-6, "translation");
    near([camera.fx, camera.fy, camera.cx, camera.cy], [focal, focal, 150, 100], 1e-3, "intrinsics");
  });
});

test("going round the head keeps its middle in the picture, and turns the face to the right and up", () => {
  const pose = { ...values.poses[0], view: [0, 0, 0] };
  const seen = (orbit, point) => {
    const { rotation: r, translation: t } = avatar.camera(pose, 512, 512, orbit);
    return [0, 1, 2].map((i) => r[3 * i] * point[0] + r[3 * i + 1] * point[1] + r[3 * i + 2] * point[2] + t[i]);
  };
  const nose = avatar.centre.map((value, i) => value + (i === 2 ? 0.1 : 0));
  const middle = seen({ yaw: 0, pitch: 0, zoom: 1 }, avatar.centre);
  near(seen({ yaw: 0.6, pitch: -0.3, zoom: 1 }, avatar.centre), middle, 1e-6, "middle");
  const at = seen({ yaw: 0.5, pitch: 0, zoom: 1 }, nose);
  near([at[0] - middle[0]], [0.1 * Math.sin(0.5)], 1e-6, "to the right");
  near([seen({ yaw: 0, pitch: 0.5, zoom: 1 }, nose)[1] - middle[1]], [-0.1 * Math.sin(0.5)], 1e-6, "up");
  near([seen({ yaw: 0, pitch: 0, zoom: 2 }, avatar.centre)[2]], [middle[2] / 2], 1e-6, "nearer");
});
