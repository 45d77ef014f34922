// What Locust's page lacks for us: why a start came to nothing, the way to our page, our fields open and side by side,
// an "Edit" that shows what may change, names for buttons that have none, and a preview of a row's request.
import { make, setText } from "./dom.js";
import { addCurve } from "./curve.js";
import { addPreview } from "./preview.js";
import { watchState } from "./state.js";

const FIELDS = "Custom parameters";

export function extendLocustPage(base) {
  const words = make("p", { role: "alert" });
  const note = make("div", { class: "swarm-note" }, words,
    make("nav", { "aria-label": "Swarm" }, make("a", { href: base.href }, "Swarm: workers, earlier runs, comparing")));
  document.body.prepend(note);
  words.hidden = true;

  const openFields = () => {
    const summary = [...document.querySelectorAll("button.MuiAccordionSummary-root, .MuiAccordionSummary-root")]
      .find((element) => element.textContent.includes(FIELDS) && !element.dataset.seen);
    if (!summary) return;
    summary.dataset.seen = "1";
    const details = summary.closest(".MuiAccordion-root")?.querySelector(".MuiAccordionDetails-root");
    details?.firstElementChild?.classList.add("swarm-fields");
    if (summary.getAttribute("aria-expanded") === "false") summary.click();
  };
  const lookAtForms = () => {
    openFields();
    nameButtons();
    document.querySelectorAll(".MuiModal-root form").forEach(showOnlyWhatMayChange);
    document.querySelectorAll("form").forEach((form) => {
      addPreview(form, base);
      addCurve(form, base);
    });
  };
  // Dialogs stand beside the root.
  new MutationObserver(lookAtForms).observe(document.body, { childList: true, subtree: true });
  lookAtForms();

  watchState(base, ({ refused }) => {
    words.hidden = !refused;
    setText(words, refused ? `The run was refused: ${refused}` : "");
  });
}

// Buttons that are a picture only: what they do, in words for a screen reader.
function nameButtons() {
  for (const button of document.querySelectorAll("button.MuiButtonBase-root:not([aria-label])")) {
    if (button.textContent.trim()) continue;
    const isIn = (selector) => button.closest(selector);
    const name = isIn("header") ? "Light or dark theme" : isIn(".MuiModal-root") ? "Close" : isIn(".MuiButton-outlined") ? "Columns to show" : "";
    if (name) button.setAttribute("aria-label", name);
  }
}

// "Edit" during a run: users and ramp up may change, so nothing else is shown. Locust sends every field with a name.
function showOnlyWhatMayChange(form) {
  const isEdit = form.querySelector("[name=userCount]") && !form.querySelector("[name=host]");
  if (!isEdit || form.dataset.seen) return;
  form.dataset.seen = "1";
  for (const fields of form.querySelectorAll(".MuiAccordion-root")) {
    fields.dataset.swarmHidden = ""; // a class would go when React writes its own
    fields.querySelectorAll("[name]").forEach((field) => field.removeAttribute("name"));
  }
}
