// Building and updating elements. Text goes in as text, never as HTML; what has not changed is not touched.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// A shape of an SVG, with a text in it, or with a title that shows under the pointer.
export function shape(name, attributes, text, title) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, String(value));
  if (text) found.textContent = text;
  if (title) found.append(shape("title", {}, title));
  return found;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

// A table in a region that scrolls by keyboard too. `columns` are {title, number}; `headOfRow` is the column that names
// the row. Roles are said aloud: a style that makes cards of the rows would take them away.
export function table(label, columns, headOfRow = 0) {
  const titles = columns.map((c) => make("th", { scope: "col", role: "columnheader", class: c.number ? "number" : null }, c.title));
  const head = make("tr", { role: "row" }, ...titles);
  const body = make("tbody", { role: "rowgroup" });
  const whole = make("table", { role: "table", "aria-label": label }, make("thead", { role: "rowgroup" }, head), body);
  const region = make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, whole);
  return { region, setRows: (rows) => setRows(body, columns, headOfRow, rows) };
}

// A cell is text or {text, className, value, hint, title, links, note, more, pick, press}.
function setRows(body, columns, headOfRow, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, place) => {
    const row = body.rows[place] ?? body.insertRow();
    row.setAttribute("role", "row");
    cells.forEach((cell, column) =>
      setCell(row, column, column === headOfRow, columns[column], typeof cell === "object" ? cell : { text: cell }));
  });
}

function setCell(row, column, isHead, { number }, { text, className = "", links, note, more = [], pick, press, value, hint, title }) {
  const made = () => make(isHead ? "th" : "td", isHead ? { scope: "row", role: "rowheader" } : { role: "cell" });
  const cell = row.cells[column] ?? row.appendChild(made());
  setClass(cell, [number ? "number" : "", className].join(" ").trim());
  if (value != null) cell.dataset.value = value;
  if (title != null) cell.dataset.title = title;
  if (hint != null && cell.title !== hint) cell.title = hint;
  if (press) return setButton(cell, text, press);
  if (!links && !pick) return setText(cell, text);
  const key = JSON.stringify([text, links, note, more, pick]);
  if (cell.dataset.shown === key) return;
  cell.dataset.shown = key;
  if (pick) return setPick(cell, text, pick);
  const link = ({ href, title: words }) => (href ? make("a", { href }, words) : make("span", {}, words));
  const small = [note, ...more.map(link)].filter(Boolean).flatMap((one, place) => (place ? [" · ", one] : [one]));
  cell.replaceChildren(...links.map(link), make("div", { class: "note" }, ...small));
}

// The box itself stays: it may have the focus.
function setPick(cell, text, { value, checked, label }) {
  const box = cell.querySelector("input") ?? make("input", { type: "checkbox", name: "pick" });
  if (!box.parentElement) cell.append(make("label", { class: "pick" }, box, make("span")));
  Object.assign(box, { value, checked });
  box.setAttribute("aria-label", label);
  setText(cell.querySelector("span"), text);
}

// The button itself stays as well. It is called what it says and then what it does.
function setButton(cell, text, { label, ...data }) {
  let button = cell.querySelector("button.opener");
  if (!button) cell.replaceChildren((button = make("button", { type: "button", class: "opener" })));
  setText(button, text);
  const said = `${text}. ${label}`;
  if (button.getAttribute("aria-label") !== said) button.setAttribute("aria-label", said);
  Object.assign(button.dataset, data);
}
