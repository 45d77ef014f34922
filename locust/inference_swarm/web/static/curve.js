// The load over time that the stages in the start form stand for, drawn below the form while they are typed.
import { make, setText, shape } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./master.js";

const WIDTH = 640, HEIGHT = 160, LEFT = 64, RIGHT = 16, TOP = 12, BOTTOM = 28, PAUSE_MS = 250;

export function addCurve(form, base) {
  const field = form.querySelector("[name=stages]");
  if (form.dataset.curved || !field || !form.querySelector("[name=host]")) return;
  form.dataset.curved = "1";
  const plot = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curve", role: "img" });
  const said = make("p", { role: "status" });
  const part = make("section", { class: "swarm-preview", "aria-label": "Load over time" }, said, plot);
  part.hidden = true;
  form.after(part);

  let timer = 0, asked = "";
  const look = async () => {
    const arrival = form.querySelector("[name=arrival]")?.value ?? "closed";
    const stages = field.value.trim(), key = JSON.stringify([stages, arrival]);
    if (key === asked) return;
    asked = key;
    if (!stages) return void (part.hidden = true);
    const found = await askCurve(base, { stages, arrival });
    if (asked !== key) return; // something else stands there by now
    part.hidden = false;
    plot.toggleAttribute("hidden", !found.success);
    said.className = found.success ? "calm" : "";
    setText(said, found.success ? `${format.seconds(found.duration_s)}: ${found.text}` : found.message);
    if (found.success) draw(plot, found);
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  soon();
}

function draw(plot, { points, duration_s: duration, highest, unit, text }) {
  const x = (time) => LEFT + (WIDTH - LEFT - RIGHT) * time / duration;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / (highest || 1));
  const shapes = [];
  for (const part of [0, 0.5, 1]) {
    const height = y(part * highest);
    shapes.push(shape("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: height, y2: height }));
    shapes.push(shape("text", { class: "axis end", x: LEFT - 8, y: height + 5 }, format.rate(part * highest)));
  }
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    shapes.push(shape("text", { class: "axis middle", x: x(part * duration), y: HEIGHT - 8 }, format.seconds(part * duration)));
  }
  shapes.push(shape("polyline", { class: "line", points: points.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  plot.setAttribute("aria-label", `${unit} over time: ${text}`);
  plot.replaceChildren(...shapes);
}

async function askCurve(base, fields) {
  try {
    return await ask(base, "curve", { method: "POST", body: new URLSearchParams(fields) });
  } catch (error) {
    return { success: false, message: `The master cannot be read (${error.message}).` };
  }
}
