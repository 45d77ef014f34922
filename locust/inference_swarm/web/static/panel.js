// <swarm-panel>: the Swarm tab of Locust's page, and the whole of our own. Shows ./state.
import { make, setClass, setText, table } from "./dom.js";
import { AnswersSection } from "./answers.js";
import { CapacitySection } from "./capacity.js";
import * as format from "./format.js";
import { PlotsSection } from "./plots.js";
import { RunsSection } from "./runs.js";
import { extendLocustPage } from "./locust_page.js";
import { watchState } from "./state.js";
import { followTheme } from "./theme.js";
import { WorkerPages } from "./worker_pages.js";
import { COLUMNS, workerRows } from "./workers.js";

export const BASE = new URL("../", import.meta.url);
const PERCENTILES = ["p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "mean", "max"];
const title = (key) => key.replace("_", ".");

class SwarmPanel extends HTMLElement {
  connectedCallback() {
    if (!this.sections) this.build();
    this.unwatch = watchState(BASE, (state) => this.update(state), (why) => this.tell(why));
    this.runs.load();
  }

  disconnectedCallback() {
    this.unwatch();
  }

  build() {
    this.sections = true;
    this.trouble = make("p", { class: "bad", role: "alert", hidden: "" });
    this.verdict = make("strong", { role: "status" }); // the word alone: measured values would be read out every 2 s
    this.reasons = make("div");
    this.banner = make("div", { class: "verdict" }, this.verdict, this.reasons);
    this.about = make("p", { class: "about dim", hidden: "", tabindex: "0", role: "group", "aria-label": "What identifies the run" });
    this.metrics = make("dl");
    this.objectives = table("Objectives", [
      { title: "Objective" }, { title: "Verdict" }, { title: "Measured", number: true }, { title: "Bound", number: true },
      { title: "Samples", number: true }, { title: "Note" },
    ]);
    this.times = table("Latency and service time", [
      { title: "Time" }, ...PERCENTILES.map((key) => ({ title: title(key), number: true })),
    ]);
    const origins = "Latency runs from the intended instant, service time from the send; all workers merged.";
    this.workers = table("Workers", COLUMNS);
    this.pages = new WorkerPages(BASE);
    this.workers.region.addEventListener("click", ({ target }) => target.closest(".opener") && this.pages.open(target.closest(".opener")));
    this.warnings = make("ul");
    this.warningsPart = part("Self-check of the load generator", this.warnings);
    this.objectivesPart = part("Objectives", this.objectives.region);
    this.answers = new AnswersSection();
    this.capacity = new CapacitySection();
    this.plots = new PlotsSection(BASE);
    this.runs = new RunsSection(BASE);
    this.timesPart = part("Percentiles", make("p", { class: "dim" }, origins), this.times.region);
    this.append(
      this.trouble, this.banner, this.about, this.capacity.part, this.objectivesPart, this.metrics, this.plots.part, this.answers.part,
      this.warningsPart,
      this.timesPart, part("Workers", this.workers.region, this.pages.part), ...this.runs.parts,
    );
  }

  tell(why) {
    this.trouble.hidden = false;
    setText(this.trouble, `The master cannot be read (${why}). What is shown may be old.`);
  }

  update(state) {
    this.trouble.hidden = true;
    this.show(state);
  }

  show(state) {
    const last = state.run;
    // What an earlier run came to must not stand under the refusal, or the loading, of the next one.
    const run = state.refused || state.state === "loading" ? null : last;
    this.showVerdict({ ...state, run });
    this.showAbout(run);
    this.showMetrics({ ...state, run });
    this.showObjectives(run?.objectives ?? []);
    this.showWarnings(run);
    this.answers.show(run?.answers);
    this.capacity.show(run?.capacity);
    this.plots.show(run);
    this.timesPart.hidden = !run;
    const row = (name, metrics) => [name, ...PERCENTILES.map((key) => ({ text: format.time(metrics?.[key]), value: metrics?.[key] }))];
    const failed = run?.failures ? [row("Latency of failures", run.failed_latency_us)] : [];
    this.times.setRows([row("Latency", run?.latency_us), row("Service time", run?.service_us), ...failed]);
    this.workers.setRows(workerRows(state.workers));
    this.pages.read();
    const key = last && `${last.run_id} ${last.is_over}`;
    if (key !== this.shownRun) {
      this.shownRun = key;
      this.runs.load();
    }
  }

  // What identifies a run, in one line, which the style shortens: the whole is in its titles, and there while it has the focus.
  showAbout(run) {
    this.about.hidden = !run;
    if (!run) return;
    const model = [run.model, run.method].filter(Boolean).join(", ");
    const data = `${run.dataset || run.data.source} (${format.count(run.data.rows)} rows, fingerprint ${run.data.fingerprint.slice(0, 8)})`;
    const load = run.load === "closed" ? "closed load" : `${run.load} arrivals`;
    const said = [
      ["Target", run.target], ["Data", data, run.data.fingerprint], ["Model", model], ["API", run.api], ["Load", load], ["Run", run.run, run.run_id],
    ].filter(([, text]) => text);
    const key = JSON.stringify(said);
    if (this.about.dataset.shown === key) return;
    this.about.dataset.shown = key;
    const full = ([name, text, more]) => `${name}: ${text}${more ? ` (${more})` : ""}`;
    this.about.title = said.map(full).join("\n");
    this.about.replaceChildren(...said.flatMap(([name, text, more], place) => [
      place ? make("span", { class: "between" }, " · ") : "", make("span", { class: "spoken" }, `${name}: `),
      make("span", { "data-name": name, title: full([name, text, more]) }, text),
    ]));
  }

  showVerdict({ state, run, refused }) {
    const sayings = [];
    if (refused) sayings.push(refused);
    sayings.push(...(run?.reasons ?? []));
    const word = refused ? "The run was refused" : !run ? "No run yet" : run.is_over ? format.verdictOf(run) : `${format.verdictOf(run)} so far`;
    const isJudged = run && !refused && (run.is_over || run.requests || run.verdict !== "nothing sent");
    setText(this.verdict, state === "loading" ? "loading rows" : isJudged || !run || refused ? word : "running");
    setClass(this.banner, `verdict ${refused ? "bad" : isJudged ? format.toneOf(run) : ""}`.trim());
    if (this.reasons.dataset.shown !== sayings.join("\n")) {
      this.reasons.dataset.shown = sayings.join("\n");
      this.reasons.replaceChildren(...sayings.map((saying) => make("p", {}, saying)));
    }
  }

  showMetrics({ state, users, users_wanted: wanted, users_draining: draining, rate_now_rps: now, rows_now_per_s: rowsNow, worker_count: count, run }) {
    const of = (part, whole) => (whole == null || part === whole ? part : `${part} of ${whole}`);
    const isOn = state === "running" || state === "spawning";
    const metrics = [
      ["State", state],
      ["Users", isOn ? of(format.count(users), format.count(wanted)) : format.count(users)],
      ...(draining ? [["Users draining", format.count(draining)]] : []),
      ["Workers", format.count(count)],
      ["Requests/s now", isOn && run?.rate_wanted_rps != null ? of(format.rate(now), format.rate(run.rate_wanted_rps)) : format.rate(now)],
    ];
    if (rowsNow !== now) metrics.push(["Rows/s now", format.rate(rowsNow)]);
    if (run) {
      const errors = Object.entries(run.errors).map(([kind, number]) => `${kind} ${format.count(number)}`).join(", ");
      metrics.push(
        ["Requests/s in all", format.rate(run.rate_rps)],
        ...(run.rows_per_s === run.rate_rps ? [] : [["Rows/s in all", format.rate(run.rows_per_s)]]),
        ["Requests", format.count(run.requests)],
        ["Failures", format.count(run.failures)],
        ...(errors ? [["Failures by kind", errors, "small"]] : []),
        ["Late", format.count(run.late)],
        ["Dropped", format.count(run.dropped)],
        ["Abandoned", format.count(run.abandoned)],
        ...(run.left_out ? [["Left out", format.count(run.left_out.requests)]] : []),
        ...(run.other_users.requests ? [["Of other user classes", format.count(run.other_users.requests)]] : []),
        ["Time", format.seconds(run.duration_s)],
      );
    }
    const shown = new Map([...this.metrics.children].map((box) => [box.dataset.name, box]));
    const boxes = metrics.map(([name, text, size]) => {
      const box = shown.get(name) ?? make("div", { "data-name": name }, make("dt", {}, name), make("dd", { class: size }));
      setText(box.lastChild, text);
      return box;
    });
    if (boxes.length !== shown.size || boxes.some((box, place) => box !== this.metrics.children[place])) this.metrics.replaceChildren(...boxes);
  }

  showObjectives(objectives) {
    this.objectivesPart.hidden = !objectives.length;
    this.objectives.setRows(objectives.map((one) => [
      one.objective,
      { text: one.outcome, className: format.verdictClass(one.outcome) },
      { text: one.measured_text, value: one.measured },
      one.bound_text,
      format.count(one.samples),
      { text: one.note, className: one.note ? "words" : "" },
    ]));
  }

  showWarnings(run) {
    const sentences = run?.self_check.map((warning) => warning.sentence) ?? [];
    if (run?.self_check_left_out) sentences.push(`${format.count(run.self_check_left_out)} others are in summary.json.`);
    this.warningsPart.hidden = !sentences.length;
    if (this.warnings.dataset.shown !== sentences.join("\n")) {
      this.warnings.dataset.shown = sentences.join("\n");
      this.warnings.replaceChildren(...sentences.map((sentence) => make("li", {}, sentence)));
    }
  }
}

function part(heading, ...children) {
  return make("section", {}, make("h2", {}, heading), ...children);
}

document.head.append(make("link", { rel: "stylesheet", href: new URL("panel.css", import.meta.url).href }));
followTheme();
customElements.define("swarm-panel", SwarmPanel);
if (document.getElementById("root")) extendLocustPage(BASE);
