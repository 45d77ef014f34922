// The run over time, as its report draws it later. Reads ./series: at first all of it, then what is new or may have changed.
import { make } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./master.js";
import { Plot } from "./plot.js";

const EVERY = 2; // of the page's updates
const MAX_BOUNDS = 3;
// Points that are younger may still change: reports come late.
const READ_AGAIN_S = 60;

const PLOTS = [
  { caption: "Requests/s", format: format.rate, boundOf: format.rateBound, lines: [
    { name: "achieved", of: (point) => point.rate_rps, hue: 1 }, { name: "wanted", of: (point) => point.wanted_rps, hue: 5, isDashed: true },
  ] },
  { caption: "Latency", format: format.time, boundOf: format.latencyBound, isLogarithmic: true, lines: [
    { name: "p50", of: (point) => point.p50_us, hue: 1 }, { name: "p99", of: (point) => point.p99_us, hue: 3 },
    { name: "p99.9", of: (point) => point.p99_9_us, hue: 4 },
  ] },
  { caption: "Concurrency", format: format.rate, lines: [
    // In an open load users are places for requests, most of them free.
    { name: "users", of: (point) => (point.wanted_rps == null ? point.users : null), hue: 2 },
    { name: "in flight", of: (point) => point.in_flight, hue: 6 },
  ] },
];

export class PlotsSection {
  constructor(base) {
    this.base = base;
    this.grid = make("div", { class: "plots" });
    this.part = make("section", { hidden: "", "aria-label": "Over the run" }, make("h2", {}, "Over the run"), this.grid);
    this.plots = new Map();
    this.shown = "";
    this.updates = 0;
    this.forget("");
  }

  forget(runId) {
    this.runId = runId;
    this.points = [];
    this.server = { units: {}, rows: [] };
  }

  // Called with each state of the page.
  async show(run) {
    this.part.hidden = !run || !this.points.length;
    const key = run ? `${run.run_id} ${run.is_over}` : "";
    this.updates = key === this.shown ? this.updates + 1 : 0;
    this.objectives = run?.objectives ?? [];
    if (!run || this.isReading || this.updates % EVERY || (run.is_over && this.updates)) return;
    this.isReading = true;
    try {
      if (run.run_id !== this.runId || run.is_over) this.forget(run.run_id);
      await this.read();
      this.shown = key;
      this.draw();
    } catch {
      // The page says that the master cannot be read; the next update tries again.
    } finally {
      this.isReading = false;
    }
  }

  async read() {
    const since = Math.max(0, (this.points.at(-1)?.start_s ?? 0) - READ_AGAIN_S);
    const found = await ask(this.base, `series?since=${since}`);
    if (found.run_id !== this.runId) return;
    this.points = [...this.points.filter((point) => point.start_s < since), ...found.points];
    this.server = { units: found.server.units, rows: [...this.server.rows.filter(([at]) => at < since), ...found.server.rows] };
    this.lengthS = found.length_s;
  }

  draw() {
    this.part.hidden = !this.points.length;
    if (!this.points.length) return;
    const wanted = [...PLOTS.map((spec) => ({ ...spec, lines: [...spec.lines, ...this.bounds(spec)] })), ...this.failures(), ...this.metrics()];
    const plots = wanted.map((spec) => {
      const plot = this.plots.get(spec.caption) ?? new Plot(spec.caption);
      this.plots.set(spec.caption, plot);
      plot.draw(spec, this.lengthS, (line) => (line.points ?? this.points.map((point) => [point.at_s, line.of(point)])));
      return plot.figure;
    });
    if (plots.length !== this.grid.children.length || plots.some((figure, place) => figure !== this.grid.children[place])) {
      this.grid.replaceChildren(...plots);
    }
  }

  // The objectives that a plot is about.
  bounds({ boundOf }) {
    const found = boundOf ? this.objectives.map(({ objective }) => ({ name: objective, value: boundOf(objective) })) : [];
    return found.filter(({ value }) => value != null).slice(0, MAX_BOUNDS)
      .map(({ name, value }) => ({ name, hue: 5, isDashed: true, points: [[0, value], [this.lengthS, value]] }));
  }

  failures() {
    const kinds = [...new Set(this.points.flatMap((point) => Object.keys(point.failed_rps)))].sort();
    const lines = kinds.map((kind, place) => ({ name: kind, of: (point) => point.failed_rps[kind] ?? 0, hue: ((place + 3) % 6) + 1 }));
    return lines.length ? [{ caption: "Failures/s by kind", format: format.rate, lines }] : [];
  }

  metrics() {
    return Object.entries(this.server.units).map(([title, unit]) => {
      const caption = `Server: ${title}${unit ? ` (${unit})` : ""}`;
      const points = this.server.rows.filter(([, row]) => row[title] != null).map(([at, row]) => [at, row[title]]);
      return { caption, format: format.rate, lines: [{ name: caption, hue: 2, points }] };
    });
  }
}
