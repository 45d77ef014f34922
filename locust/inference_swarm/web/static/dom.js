// Building and updating elements. Text goes in as text, never as HTML; what has not changed is not touched.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child != null));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element, name) {
  if (element.className !== name) element.className = name;
}

// A table in a region that scrolls by keyboard too. `columns` are {title, number}.
export function table(label, columns) {
  const head = make("tr", {}, ...columns.map((c) => make("th", { scope: "col", class: c.number ? "number" : null }, c.title)));
  const body = make("tbody");
  const whole = make("table", { "aria-label": label }, make("thead", {}, head), body);
  const region = make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, whole);
  return { region, setRows: (rows) => setRows(body, columns, rows) };
}

// A cell is text or {text, className, links, value, hint}; the first of a row is its head.
function setRows(body, columns, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, place) => {
    const row = body.rows[place] ?? body.insertRow();
    cells.forEach((cell, column) => setCell(row, column, columns[column], typeof cell === "object" ? cell : { text: cell }));
  });
}

function setCell(row, column, { number }, { text, className = "", links, value, hint }) {
  const cell = row.cells[column] ?? row.appendChild(make(column ? "td" : "th", column ? {} : { scope: "row" }));
  setClass(cell, [number ? "number" : "", className].join(" ").trim());
  if (value != null) cell.dataset.value = value;
  if (hint != null && cell.title !== hint) cell.title = hint;
  if (!links) return setText(cell, text);
  const key = JSON.stringify(links);
  if (cell.dataset.links === key) return;
  cell.dataset.links = key;
  cell.replaceChildren(...links.flatMap(({ href, title }, place) => [place ? " · " : "", make("a", { href }, title)]));
}
