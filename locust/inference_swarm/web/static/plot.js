// One plot over time: lines in, SVG out. A gap is a value that is null.
import { make, shape } from "./dom.js";
import * as format from "./format.js";

const WIDTH = 560, HEIGHT = 220, LEFT = 84, RIGHT = 26, TOP = 10, BOTTOM = 28;
const TIME_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800];

export class Plot {
  constructor(caption) {
    this.title = make("strong", {}, caption);
    this.legend = make("figcaption", {}, this.title);
    this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "img" });
    this.figure = make("figure", { "data-name": caption }, this.legend, this.svg);
  }

  // `pointsOf` gives the [seconds, value] of a line.
  draw({ caption, format: written, isLogarithmic = false, lines }, lengthS, pointsOf) {
    const drawn = lines.map((line) => ({ ...line, points: pointsOf(line) })).filter(({ points }) => points.some(([, value]) => value != null));
    const values = drawn.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => value != null);
    const { low, high, ticks } = isLogarithmic ? logarithmicAxis(values) : linearAxis(values);
    const scaled = (value) => (isLogarithmic ? Math.log10(Math.max(value, 1)) : value);
    const x = (at) => LEFT + (WIDTH - LEFT - RIGHT) * Math.min(1, at / (lengthS || 1));
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)));
    const shapes = ticks.flatMap((tick) => [
      shape("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      shape("text", { class: "end", x: LEFT - 8, y: y(tick) + 5 }, written(tick)),
    ]);
    for (const at of timeTicks(lengthS)) shapes.push(shape("text", { class: "middle", x: x(at), y: HEIGHT - 6 }, format.seconds(at)));
    for (const { points, hue, isDashed } of drawn) {
      shapes.push(shape("path", { class: classOf(hue, isDashed), d: path(points, x, y) }));
    }
    this.svg.replaceChildren(...shapes);
    this.svg.setAttribute("aria-label", `${caption} over the run: ${drawn.map((line) => spoken(line, caption, written)).join("; ")}`);
    const words = drawn.map(({ name, hue, isDashed }) => make("span", { class: classOf(hue, isDashed) }, name));
    this.legend.replaceChildren(this.title, ...(words.length > 1 || drawn[0]?.name !== caption ? words : []));
  }
}

const classOf = (hue, isDashed) => `hue-${hue}${isDashed ? " dashed" : ""}`;

// A line in words, for those who cannot see it.
function spoken({ name, points }, caption, written) {
  const values = points.map(([, value]) => value).filter((value) => value != null);
  const [low, high, last] = [Math.min(...values), Math.max(...values), values.at(-1)].map(written);
  const range = low === high ? low : `${low} to ${high}, last ${last}`;
  return name === caption ? range : `${name} ${range}`;
}

// A value between two gaps is a dash.
function path(points, x, y) {
  const isKnown = (place) => points[place]?.[1] != null;
  return points.map(([at, value], place) => {
    if (value == null) return "";
    const [right, up] = [x(at).toFixed(1), y(value).toFixed(1)];
    if (isKnown(place - 1)) return `L${right} ${up}`;
    return `M${right} ${up}${isKnown(place + 1) ? "" : "h3"}`;
  }).join("");
}

function linearAxis(values) {
  const highest = Math.max(0, ...values) || 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  const step = [0.2, 0.5, 1, 2, 5].map((factor) => factor * power).find((size) => highest / size <= 5);
  const ticks = Array.from({ length: Math.ceil(highest / step - 1e-9) + 1 }, (_, place) => place * step);
  return { low: 0, high: ticks.at(-1), ticks };
}

function logarithmicAxis(values) {
  const [lowest, highest] = [Math.max(1, Math.min(...values)), Math.max(1, ...values)];
  const steps = [];
  for (let power = Math.floor(Math.log10(lowest)); power <= Math.ceil(Math.log10(highest)) + 1; power += 1) {
    for (const factor of [1, 2, 5]) steps.push(factor * 10 ** power);
  }
  const low = steps.filter((step) => step <= lowest).at(-1) ?? 1;
  const high = steps.find((step) => step >= highest && step > low);
  const kept = steps.filter((step) => step >= low && step <= high);
  const isPower = (step) => Math.abs(Math.log10(step) - Math.round(Math.log10(step))) < 1e-9;
  return { low, high, ticks: kept.length <= 6 ? kept : kept.filter((step) => isPower(step) || step === low || step === high) };
}

function timeTicks(lengthS) {
  const step = TIME_STEPS_S.find((size) => lengthS / size <= 6) ?? TIME_STEPS_S.at(-1);
  return Array.from({ length: Math.floor(lengthS / step) + 1 }, (_, place) => place * step);
}
