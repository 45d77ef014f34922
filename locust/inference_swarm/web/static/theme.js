// Light or dark as Locust's page has it: what was chosen there, else what the system prefers.
const system = matchMedia("(prefers-color-scheme: dark)");

function apply() {
  const chosen = localStorage.getItem("theme");
  document.body.classList.toggle("swarm-dark", chosen ? chosen === "dark" : system.matches);
}

export function followTheme() {
  apply();
  system.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  document.addEventListener("click", () => setTimeout(apply, 0)); // Locust's own switch tells nobody
}
