// The part of the panel that shows a search for a capacity: its answer, the curve while it grows, its steps.
import { make, setText, shape, table } from "./dom.js";
import * as format from "./format.js";

const WIDTH = 640, HEIGHT = 260, LEFT = 64, RIGHT = 16, TOP = 14, BOTTOM = 34;
const LINES = ["p50", "p90", "p99"];

export class CapacitySection {
  constructor() {
    this.sentence = make("p", { class: "sentence" });
    this.plot = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curve", role: "img" });
    this.steps = table("Steps of the search", [
      { title: "Step", number: true }, { title: "For" }, { title: "Load", number: true }, { title: "Achieved/s", number: true },
      { title: "p50", number: true }, { title: "p99", number: true }, { title: "In flight", number: true }, { title: "Outcome" },
    ]);
    this.part = make("section", { hidden: "" }, make("h2", {}, "Capacity"), this.sentence, this.plot, this.steps.region);
  }

  show(capacity) {
    this.part.hidden = !capacity;
    if (!capacity) return;
    setText(this.sentence, capacity.sentence);
    const steps = capacity.steps.filter((step) => step.part !== "drain");
    this.steps.setRows(steps.map((step) => [
      String(step.step), step.part, load(step.load, capacity.by_users), format.rate(step.rate_rps),
      { text: format.time(step.percentiles_us.p50), value: step.percentiles_us.p50 },
      { text: format.time(step.percentiles_us.p99), value: step.percentiles_us.p99 },
      format.count(step.in_flight),
      { text: outcome(step), className: tone(step) },
    ]));
    this.draw(capacity);
  }

  draw(capacity) {
    const judged = capacity.steps.filter((step) => step.finding && !step.is_discarded && step.requests);
    const key = JSON.stringify(judged.map((step) => [step.step, step.finding]));
    if (this.plot.dataset.shown === key) return;
    this.plot.dataset.shown = key;
    this.plot.setAttribute("aria-label", `Latency over load, log scale: ${judged.length} steps`);
    const times = judged.flatMap((step) => LINES.map((name) => step.percentiles_us[name])).filter((us) => us > 0);
    const bounds = judged.length ? judged[0].measured.map((one) => format.latencyBound(one.objective)).filter(Boolean) : [];
    this.plot.toggleAttribute("hidden", !times.length);
    if (!times.length) return;
    const highest = Math.max(...judged.map((step) => step.load));
    const low = Math.floor(Math.log10(Math.min(...times, ...bounds)));
    const high = Math.ceil(Math.log10(Math.max(...times, ...bounds)));
    const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * value / highest;
    const y = (us) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (Math.log10(Math.max(us, 1)) - low) / Math.max(1, high - low));
    const shapes = [];
    for (let decade = low; decade <= high; decade += 1) {
      shapes.push(shape("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(10 ** decade), y2: y(10 ** decade) }));
      shapes.push(shape("text", { class: "axis end", x: LEFT - 8, y: y(10 ** decade) + 5 }, format.time(10 ** decade)));
    }
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      shapes.push(shape("text", { class: "axis middle", x: x(part * highest), y: HEIGHT - 10 }, format.rate(part * highest)));
    }
    for (const bound of bounds) shapes.push(shape("line", { class: "bound", x1: LEFT, x2: WIDTH - RIGHT, y1: y(bound), y2: y(bound) }));
    const sorted = [...new Map(judged.map((step) => [step.load, step])).values()].sort((one, other) => one.load - other.load);
    LINES.forEach((name, place) => {
      const points = sorted.filter((step) => step.percentiles_us[name] > 0).map((step) => `${x(step.load)},${y(step.percentiles_us[name])}`);
      shapes.push(shape("polyline", { class: `line line-${place + 1}`, points: points.join(" ") }));
    });
    for (const step of judged) {
      const us = step.percentiles_us.p99;
      if (us > 0) shapes.push(shape("circle", { class: `point ${tone(step)}`, cx: x(step.load), cy: y(us), r: 5 }, null, `${load(step.load, capacity.by_users)}: ${outcome(step)}, p99 ${format.time(us)}`));
    }
    this.plot.replaceChildren(...shapes);
  }
}

function load(value, byUsers) {
  return byUsers ? `${format.count(value)} users` : `${format.rate(value)}/s`;
}

function outcome(step) {
  if (step.is_discarded) return "begun again";
  if (step.is_overloaded) return "missed: the queue grows";
  const leftOut = step.left_out_s ? `, ${Math.round(step.left_out_s)} s left out` : "";
  return `${step.finding ?? "under way"}${leftOut}${step.is_generator_bound ? ", generator-bound" : ""}`;
}

function tone(step) {
  if (!step.finding || step.is_discarded) return "";
  return step.finding === "met" || step.finding === "likely met" ? "good" : "bad";
}
