// "Preview" below the start form: the request that a row becomes with what stands in the form. Nothing is sent to the
// server under test.
import { make, setText } from "./dom.js";
import { ask } from "./master.js";

// Outside of the form: Locust sends every field in it that has a name.
export function addPreview(form, base) {
  if (form.dataset.previewed || !form.querySelector("[name=host]")) return;
  form.dataset.previewed = "1";
  const row = make("input", { type: "number", min: "0", step: "1", value: "0", "aria-label": "Row to preview" });
  const button = make("button", { type: "button" }, "Preview");
  const said = make("p", { role: "alert" });
  const lines = make("ul");
  const text = make("pre", { tabindex: "0", "aria-label": "Request" });
  const curl = make("pre", { tabindex: "0", "aria-label": "curl command" });
  const shown = make("div", { role: "status" }, lines, text, curl);
  const part = make("section", { class: "swarm-preview", "aria-label": "Preview" },
    make("div", {}, make("label", {}, "Row ", row), button), said, shown);
  said.hidden = shown.hidden = true;
  form.after(part);

  button.addEventListener("click", async () => {
    button.disabled = true;
    const found = await askPreview(form, row.value, base);
    button.disabled = false;
    said.hidden = found.success;
    shown.hidden = !found.success;
    setText(said, found.success ? "" : found.message);
    if (!found.success) return;
    lines.replaceChildren(...found.lines.map((line) => make("li", {}, line)));
    setText(text, found.text);
    setText(curl, found.curl);
  });
}

async function askPreview(form, row, base) {
  const fields = new URLSearchParams({ row });
  for (const field of form.querySelectorAll("input, select, textarea")) {
    const name = field.name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (name) fields.append(name, field.type === "checkbox" ? field.checked : field.value);
  }
  try {
    return await ask(base, "preview", { method: "POST", body: fields, longestS: 60 });
  } catch (error) {
    return { success: false, message: `The master cannot be read (${error.message}).` };
  }
}
