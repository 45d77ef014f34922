// Earlier runs: a list with key figures and links to their reports, and two of them compared.
import { make, setText, table } from "./dom.js";
import * as format from "./format.js";

const LINKS = { "report.html": "report", "locust.html": "Locust's report", "summary.json": "summary" };

export class RunsSection {
  constructor(base) {
    this.base = base;
    this.table = table("Runs", [
      { title: "Run" }, { title: "Verdict" }, { title: "Dataset" }, { title: "Model" }, { title: "Users", number: true },
      { title: "Requests", number: true }, { title: "Failures", number: true }, { title: "Requests/s", number: true },
      { title: "p50 µs", number: true }, { title: "p99 µs", number: true }, { title: "Open" },
    ]);
    this.none = make("p", { class: "dim" }, "No run has ended yet.");
    this.one = make("select", { name: "one" });
    this.other = make("select", { name: "other" });
    this.form = make("form", { "aria-label": "Compare two runs" },
      make("label", {}, "A", this.one), make("label", {}, "B", this.other), make("button", { type: "submit" }, "Compare"));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.compare();
    });
    this.said = make("p", { role: "status" });
    this.comparison = table("Comparison", [
      { title: "Metric" }, { title: "A", number: true }, { title: "B", number: true }, { title: "B ÷ A", number: true }, { title: "Result" },
    ]);
    this.notes = make("ul", { class: "dim" });
    this.more = make("p", { hidden: "" }, make("a", {}, "The comparison with its plots"));
    this.comparison.region.hidden = true;
    this.parts = [
      make("section", {}, make("h2", {}, "Runs"), this.none, this.table.region),
      make("section", {}, make("h2", {}, "Compare two runs"), this.form, this.said, this.comparison.region, this.notes, this.more),
    ];
  }

  async load() {
    const { runs } = await this.read("runs");
    if (!runs) return;
    this.none.hidden = runs.length > 0;
    this.table.region.hidden = !runs.length;
    this.parts[1].hidden = runs.length < 2;
    this.table.setRows(runs.map((run) => this.cells(run)));
    const names = runs.map((run) => run.run);
    this.offer(this.one, names, names[1]);
    this.offer(this.other, names, names[0]);
  }

  cells(run) {
    const path = (file) => new URL(`runs/${encodeURIComponent(run.run)}/${file}`, this.base).href;
    const links = run.files.filter((file) => file in LINKS).map((file) => ({ href: path(file), title: LINKS[file] }));
    const verdict = run.verdict ?? (run.complete ? "complete" : "incomplete");
    return [
      run.run,
      { text: run.generator_bound && verdict !== "generator-bound" ? `${verdict}, generator-bound` : verdict, className: run.tone ?? format.verdictClass(verdict) },
      run.dataset || "–", run.model || "–", format.count(run.users), format.count(run.requests), format.count(run.failures),
      { text: format.rate(run.rate_rps), value: run.rate_rps }, { text: format.us(run.p50_us), value: run.p50_us },
      { text: format.us(run.p99_us), value: run.p99_us }, { links },
    ];
  }

  offer(select, names, first) {
    if ([...select.options].map((option) => option.value).join("\n") === names.join("\n")) return;
    const isNewest = !select.options.length || select.value === this.offered?.get(select);
    const chosen = isNewest ? first : select.value;
    select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    select.value = names.includes(chosen) ? chosen : (first ?? names[0] ?? "");
    (this.offered ??= new Map()).set(select, select.value);
  }

  async compare() {
    setText(this.said, "Comparing …");
    const query = new URLSearchParams({ one: this.one.value, other: this.other.value });
    const found = await this.read(`compare?${query}`);
    this.comparison.region.hidden = !found.metrics;
    if (!found.metrics) {
      this.more.hidden = true;
      this.notes.replaceChildren();
      return setText(this.said, found.message ?? "The runs cannot be compared.");
    }
    setText(this.said, found.conclusion);
    this.more.hidden = false;
    this.more.firstChild.href = new URL(`compare.html?${query}`, this.base).href;
    this.notes.replaceChildren(...[
      `A is ${found.one}, B is ${found.other}; intervals hold the value with ${found.confidence * 100} %.`,
      ...found.differences,
    ].map((note) => make("li", {}, note)));
    this.comparison.setRows(found.metrics.map((row) => comparedCells(row)));
  }

  async read(path) {
    try {
      const response = await fetch(new URL(path, this.base), { cache: "no-store" });
      return await response.json();
    } catch (error) {
      return { message: `The master cannot be read (${error.message}).` };
    }
  }
}

function comparedCells({ metric, one, other, ratio, result }) {
  const isTime = metric !== "rate";
  const show = isTime ? format.us : format.rate;
  const range = ({ low, high }, number) => (low == null ? "" : ` (${number(low)} … ${number(high)})`);
  const times = (value) => (value == null ? "–" : `×${value.toFixed(3)}`);
  return [
    isTime ? `${metric} µs` : "requests/s",
    { text: show(one.value) + range(one, show), value: one.value },
    { text: show(other.value) + range(other, show), value: other.value },
    { text: times(ratio.value) + range(ratio, times), value: ratio.value },
    { text: result, className: result === "significant difference" ? "warn" : "dim" },
  ];
}
