// The part of the panel that shows whether answers are right: sentences, and the first wrong ones.
import { make, table } from "./dom.js";
import * as format from "./format.js";

export class AnswersSection {
  constructor() {
    this.sentences = make("div");
    this.examples = table("First wrong answers", [
      { title: "At", number: true }, { title: "Row", number: true }, { title: "Expected" }, { title: "Got" },
      { title: "Right for row", number: true }, { title: "Latency", number: true },
    ]);
    this.part = make("section", { hidden: "" }, make("h2", {}, "Answers"), this.sentences, this.examples.region);
  }

  show(answers) {
    this.part.hidden = !answers;
    if (!answers) return;
    const said = answers.sentences.join("\n");
    if (this.sentences.dataset.shown !== said) {
      this.sentences.dataset.shown = said;
      this.sentences.replaceChildren(...answers.sentences.map((sentence) => make("p", {}, `${sentence}.`)));
    }
    this.examples.region.hidden = !answers.examples.length;
    this.examples.setRows(answers.examples.map((one) => [
      `${one.at_s.toFixed(1)} s`, format.count(one.row), one.expected, one.got,
      one.other_row == null ? "" : format.count(one.other_row), format.time(one.latency_us),
    ]));
  }
}
