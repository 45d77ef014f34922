// Numbers as people read them. null and undefined are a dash.
const DASH = "–";

export const count = (value) => (value == null ? DASH : Math.round(value).toLocaleString("en-US"));
export const rate = (value) => (value == null ? DASH : value < 100 ? `${Number(value.toPrecision(3))}` : count(value));
export const ms = (value) => (value == null ? DASH : `${value.toFixed(value < 10 ? 2 : 0)} ms`);
export const percent = (value) => (value == null ? DASH : `${Math.round(value)} %`);

// A time in µs, in the unit that suits it, as terminal and report write it.
export function time(us) {
  if (us == null) return DASH;
  if (us < 999.5) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${Number((us / 1000).toPrecision(3))} ms`;
  return `${us < 99.5e6 ? Number((us / 1e6).toPrecision(3)) : Math.round(us / 1e6)} s`;
}

export function bytes(value) {
  if (value == null) return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

export function seconds(value) {
  if (value == null) return DASH;
  const whole = Math.round(value);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : minutes ? `${minutes}:${two(rest)}` : `${rest} s`;
}

const TONES = { passed: "good", pass: "good", incomplete: "warn", interrupted: "warn", "nothing sent": "warn", "generator-bound": "warn" };

export const verdictClass = (word) => TONES[word] ?? "bad";

// A run whose load generator was the bottleneck says so, and is never green.
export function verdictOf(run) {
  const verdict = run.verdict ?? (run.complete ? "complete" : "incomplete");
  return run.generator_bound && verdict !== "generator-bound" ? `${verdict}, generator-bound` : verdict;
}

export function toneOf(run) {
  const tone = run.tone ?? verdictClass(run.verdict);
  return run.generator_bound && tone === "good" ? "warn" : tone;
}

const UNITS_US = { us: 1, "µs": 1, ms: 1e3, s: 1e6 };

// The bound of an objective on a latency from the intended instant, in µs; null for any other.
export function latencyBound(objective) {
  const found = /^(?:p[\d.]+|max|mean)(?:\{.*\})?<=?([\d.]+)(us|µs|ms|s)$/.exec(objective.replaceAll(" ", ""));
  return found ? Number(found[1]) * UNITS_US[found[2]] : null;
}

// The bound of an objective on the rate, per second; null for any other.
export function rateBound(objective) {
  const found = /^rate(?:\{.*\})?>=?([\d.]+)$/.exec(objective.replaceAll(" ", ""));
  return found ? Number(found[1]) : null;
}
