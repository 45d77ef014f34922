// Workers one by one, a page at a time, in the order of their names: of one host, or of all. Read only while it is open.
import { make, setText, table } from "./dom.js";
import * as format from "./format.js";
import { ask } from "./master.js";
import { COLUMNS, workerRows } from "./workers.js";

const LIMIT = 50;

export class WorkerPages {
  constructor(base) {
    this.base = base;
    this.heading = make("h3", { tabindex: "-1" });
    this.words = make("span", { class: "dim", role: "status" });
    this.table = table("Workers one by one", COLUMNS);
    const button = (text, press) => {
      const made = make("button", { type: "button" }, text);
      made.addEventListener("click", press);
      return made;
    };
    this.previous = button("Previous", () => this.turn(() => this.starts.pop()));
    this.next = button("Next", () => this.turn(() => this.starts.push(this.after)));
    this.close = button("Close", () => this.end());
    this.part = make("section", { class: "pages", hidden: "" }, this.heading,
      make("p", {}, this.previous, this.next, this.close, this.words), this.table.region);
  }

  // `opener` is the button that was pressed: the focus goes back to it.
  open(opener) {
    this.opener = opener;
    this.host = opener.dataset.host;
    this.starts = [""];
    setText(this.heading, this.host ? `All workers of ${this.host}` : "All workers");
    this.part.hidden = false;
    this.heading.focus();
    this.read();
  }

  end() {
    this.part.hidden = true;
    this.table.setRows([]);
    this.opener?.focus();
  }

  turn(change) {
    change();
    this.read();
  }

  async read() {
    if (this.part.hidden) return;
    const [host, after] = [this.host, this.starts.at(-1)];
    const query = new URLSearchParams({ limit: LIMIT, after, ...(host ? { host } : {}) });
    let page;
    try {
      page = await ask(this.base, `workers?${query}`);
    } catch {
      return; // the state cannot be read either, which says so
    }
    // Another page may have been asked for meanwhile.
    if (!this.part.hidden && host === this.host && after === this.starts.at(-1)) this.show(page);
  }

  show({ workers, worker_count: count, before, next }) {
    this.table.setRows(workerRows(workers));
    this.after = next;
    const range = `${format.count(before + 1)} to ${format.count(before + workers.length)} of ${format.count(count)} by name`;
    setText(this.words, workers.length ? range : "None is connected here any more.");
    setDisabled(this.previous, this.starts.length < 2, this.next);
    setDisabled(this.next, next == null, this.previous);
  }
}

// A button that is disabled loses the focus: the other one gets it.
function setDisabled(button, isDisabled, other) {
  const hasFocus = document.activeElement === button;
  button.disabled = isDisabled;
  if (isDisabled && hasFocus) {
    other.disabled = false;
    other.focus();
  }
}
