// What Locust's page lacks for us: why a start came to nothing, the way to our page, and our fields open and side by side.
import { make, setText } from "./dom.js";

const PERIOD_MS = 2000;
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
  new MutationObserver(openFields).observe(document.getElementById("root"), { childList: true, subtree: true });
  openFields();

  const look = async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(new URL("state", base), { cache: "no-store" });
      if (!response.ok || response.redirected) return;
      const { refused } = await response.json();
      words.hidden = !refused;
      setText(words, refused ? `The run was refused: ${refused}` : "");
    } catch {
      // the page itself says when the master is gone
    }
  };
  setInterval(look, PERIOD_MS);
  look();
}
