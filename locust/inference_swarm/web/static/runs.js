// Earlier runs: a list to search, with links to their reports; two of them, picked in the list, compared.
import { make, setText, table } from "./dom.js";
import * as format from "./format.js";
import { fetchFrom } from "./master.js";

const LINKS = { "locust.html": "Locust's report", "summary.json": "summary" };

export class RunsSection {
  constructor(base) {
    this.base = base;
    this.all = [];
    this.picked = []; // at most two names, in the order in which they were picked
    this.table = table("Runs", [
      { title: "Pick" }, { title: "Run" }, { title: "Target" }, { title: "Time", number: true },
      { title: "Requests/s", number: true }, { title: "p99", number: true }, { title: "Failures", number: true }, { title: "Verdict" },
    ], 1);
    this.table.region.classList.add("runs");
    this.none = make("p", { class: "dim" }, "No run has ended yet.");
    this.search = make("input", { type: "search", name: "search", placeholder: "name, dataset, model, target, verdict …" });
    this.button = make("button", { type: "submit", disabled: "" }, "Compare");
    this.hint = make("span", { class: "dim", role: "status" });
    this.form = make("form", { "aria-label": "Search and compare runs" }, make("label", {}, "Search", this.search), this.button, this.hint);
    this.search.addEventListener("input", () => this.show());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.picked.length === 2) this.compare();
    });
    this.table.region.addEventListener("change", ({ target }) => target.name === "pick" && this.pick(target.value, target.checked));
    this.said = make("p", { role: "status" });
    this.comparison = table("Comparison", [
      { title: "Metric" }, { title: "A", number: true }, { title: "B", number: true }, { title: "B ÷ A", number: true }, { title: "Result" },
    ]);
    this.notes = make("ul", { class: "dim" });
    this.more = make("p", { hidden: "" }, make("a", {}, "The comparison with its plots"));
    this.parts = [
      make("section", {}, make("h2", {}, "Runs"), this.none, this.form, this.table.region),
      make("section", { hidden: "" }, make("h2", {}, "Two runs compared"), this.said, this.comparison.region, this.notes, this.more),
    ];
    this.show();
  }

  async load() {
    const { runs } = await this.read("runs");
    if (!runs) return;
    this.all = runs;
    this.picked = this.picked.filter((name) => runs.some((run) => run.run === name));
    this.show();
  }

  show() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const isWanted = (run) => words.every((word) => textOf(run).includes(word));
    const shown = this.all.filter(isWanted);
    this.none.hidden = shown.length > 0;
    setText(this.none, this.all.length ? "No run has all of these words." : "No run has ended yet.");
    this.form.hidden = !this.all.length;
    this.table.region.hidden = !shown.length;
    this.table.setRows(shown.map((run) => this.cells(run)));
    this.button.disabled = this.picked.length < 2;
    const [one, other] = this.picked;
    const found = words.length ? `${format.count(shown.length)} of ${format.count(this.all.length)} runs. ` : "";
    setText(this.hint, found + (other ? `A is ${one}, B is ${other}` : one ? `A is ${one}: pick B` : "Pick two runs to compare them."));
  }

  pick(name, isPicked) {
    const others = this.picked.filter((one) => one !== name);
    this.picked = isPicked ? [...others, name].slice(-2) : others;
    this.show();
  }

  cells(run) {
    const path = (file) => new URL(`runs/${encodeURIComponent(run.run)}/${file}`, this.base).href;
    const report = run.files.includes("report.html") ? path("report.html") : null;
    const more = run.files.filter((file) => file in LINKS).map((file) => ({ href: path(file), title: LINKS[file] }));
    const rows = run.rows_per_s != null && run.rows_per_s !== run.rate_rps ? `${format.rate(run.rows_per_s)} rows/s` : null;
    const about = [run.dataset, run.model, run.method, run.load !== "closed" ? run.load : null, `${format.count(run.users)} users`, rows];
    const label = "ABx"[this.picked.indexOf(run.run)] ?? "";
    return [
      { pick: { value: run.run, checked: this.picked.includes(run.run), label: `Compare ${run.run}` }, text: label },
      { text: run.run, links: [{ href: report, title: run.run }], note: about.filter(Boolean).join(" · "), more, className: "long" },
      { text: run.target || "–", className: "long", title: "Target" },
      { text: format.seconds(run.duration_s), title: "Time" },
      { text: format.rate(run.rate_rps), value: run.rate_rps, title: "Requests/s" },
      { text: format.time(run.p99_us), value: run.p99_us, title: "p99" },
      { text: format.count(run.failures), title: "Failures" },
      { text: format.verdictOf(run), className: format.toneOf(run) },
    ];
  }

  async compare() {
    const [one, other] = this.picked;
    this.parts[1].hidden = false;
    setText(this.said, "Comparing …");
    this.comparison.region.hidden = true;
    const query = new URLSearchParams({ one, other });
    const found = await this.read(`compare?${query}`, 60);
    this.comparison.region.hidden = !found.metrics;
    this.more.hidden = !found.metrics;
    if (!found.metrics) {
      this.notes.replaceChildren();
      return setText(this.said, found.message ?? "The runs cannot be compared.");
    }
    setText(this.said, found.conclusion);
    this.more.firstChild.href = new URL(`compare.html?${query}`, this.base).href;
    this.notes.replaceChildren(...[
      `A is ${found.one}, B is ${found.other}; intervals hold the value with ${found.confidence * 100} %.`,
      ...found.differences,
    ].map((note) => make("li", {}, note)));
    this.comparison.setRows(found.metrics.map((row) => comparedCells(row)));
  }

  async read(path, longestS) {
    try {
      const response = await fetchFrom(this.base, path, { longestS });
      return await response.json();
    } catch (error) {
      return { message: `The master cannot be read (${error.message}).` };
    }
  }
}

function textOf(run) {
  return [run.run, run.dataset, run.model, run.method, run.target, run.load, format.verdictOf(run)].join(" ").toLowerCase();
}

function comparedCells({ metric, one, other, ratio, result }) {
  const isTime = metric !== "rate";
  const show = isTime ? format.time : format.rate;
  const range = ({ low, high }, number) => (low == null ? "" : ` (${number(low)} … ${number(high)})`);
  const times = (value) => (value == null ? "–" : `×${value.toFixed(3)}`);
  return [
    isTime ? metric : "requests/s",
    { text: show(one.value) + range(one, show), value: one.value },
    { text: show(other.value) + range(other, show), value: other.value },
    { text: times(ratio.value) + range(ratio, times), value: ratio.value },
    { text: result, className: result === "significant difference" ? "warn" : "dim" },
  ];
}
