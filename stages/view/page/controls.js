// The sliders, each with its name and the parameters that it sets; what fingers, mouse and wheel do on the canvas.

const DEGREE = Math.PI / 180;

/** Groups of {name, part, at, low, high, unit}: `at` are the numbers of `part` that it sets, one unit being `unit`. */
export function groups(facts) {
  const degrees = (name, part, at, low, high, unit = DEGREE) => ({ name, part, at, low, high, unit, sign: "°" });
  const share = (name, part, at, low, high) => ({ name, part, at, low, high, unit: 1, sign: "" });
  return [
    ["Head", [
      degrees("turn", "view", [1], -45, 45),
      degrees("nod", "view", [0], -30, 30),
      degrees("tilt", "view", [2], -30, 30, -DEGREE),
    ]],
    ["Jaw", [degrees("open", "jaw_pose", [0], -2, 30), degrees("sideways", "jaw_pose", [1], -8, 8)]],
    ["Eyes", [
      degrees("gaze sideways", "eye_pose", [1, 4], -30, 30),
      degrees("gaze upwards", "eye_pose", [0, 3], -25, 25, -DEGREE),
      share("left lid", "eyelids", [0], 0, 1),
      share("right lid", "eyelids", [1], 0, 1),
    ]],
    ["Face", facts.named.map((name, k) => share(name.replaceAll("_", " "), "expression", [k], -3, 3))],
  ];
}

/** Fills `place` with sliders; changed(part, at, value) is called as one moves. -> show(parameters) sets them all. */
export function sliders(place, facts, changed) {
  const shows = [];
  for (const [title, controls] of groups(facts)) {
    const group = document.createElement("fieldset");
    group.append(element("legend", title));
    for (const control of controls) {
      const label = element("label", ""), input = element("input", ""), value = element("output", "");
      const words = (number) => (control.sign ? `${Math.round(number)}${control.sign}` : number.toFixed(2));
      const write = (number) => (value.value = words(number));
      Object.assign(input, { type: "range", min: control.low, max: control.high, step: control.sign ? 0.5 : 0.01 });
      input.name = `${title} ${control.name}`.toLowerCase();
      input.setAttribute("aria-label", input.name);
      input.addEventListener("input", () => {
        write(input.valueAsNumber);
        changed(control.part, control.at, input.valueAsNumber * control.unit);
      });
      shows.push((p) => {
        const number = p[control.part][control.at[0]] / control.unit + 0;
        input.valueAsNumber = number;
        write(number);
      });
      label.append(element("span", control.name), input, value);
      group.append(label);
    }
    place.append(group);
  }
  return (p) => shows.forEach((show) => show(p));
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

const TURN = 0.007, NEARER = 0.0012; // radians a pixel; zoom's logarithm a pixel of the wheel

/** One finger, or the mouse, turns; two, or the wheel, come closer: look(yaw, pitch, zoom). Two clicks: reset(). */
export function gestures(canvas, look, reset) {
  const fingers = new Map(); // by their number: where they are
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = apart(fingers), [x, y] = fingers.get(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 1) look((event.clientX - x) * TURN, (event.clientY - y) * -TURN, 1);
    else look(0, 0, apart(fingers) / before);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    look(0, 0, Math.exp(-event.deltaY * NEARER));
  }, { passive: false });
  canvas.addEventListener("dblclick", reset);
}

function apart(fingers) {
  const [[x0, y0], [x1, y1] = [x0, y0]] = [...fingers.values()];
  return Math.hypot(x1 - x0, y1 - y0) || 1;
}
