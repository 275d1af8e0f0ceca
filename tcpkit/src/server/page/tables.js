// Tables that sort by buttons in their heads and change only what changed, so that focus stays where it is.

class Table {
  // Columns are {id, label, number, value, fill}: what to sort by, and what to write into a cell.
  constructor(element, columns, { sort, descending, key, limit, empty }) {
    Object.assign(this, { columns, sort, descending, key, limit, empty, rows: new Map(), onSort: () => {} });
    const group = element.appendChild(document.createElement("colgroup"));
    const head = element.appendChild(document.createElement("thead")).insertRow();
    this.body = element.appendChild(document.createElement("tbody"));
    this.heads = columns.map((column) => {
      group.appendChild(document.createElement("col")).className = column.id;
      const th = head.appendChild(document.createElement("th"));
      th.scope = "col";
      th.className = column.number ? "number" : "";
      const button = th.appendChild(document.createElement("button"));
      button.type = "button";
      button.textContent = column.label;
      button.addEventListener("click", () => this.sortBy(column));
      return th;
    });
    this.nothing = document.createElement("tr");
    const cell = this.nothing.insertCell();
    cell.colSpan = columns.length;
    cell.className = "empty";
    this.showSort();
  }

  sortBy(column) {
    this.descending = this.sort === column.id ? !this.descending : Boolean(column.number);
    this.sort = column.id;
    this.showSort();
    this.onSort();
  }

  showSort() {
    this.columns.forEach((column, at) => {
      const order = this.descending ? "descending" : "ascending";
      this.heads[at].setAttribute("aria-sort", column.id === this.sort ? order : "none");
    });
  }

  draw(items) {
    const { value } = this.columns.find((column) => column.id === this.sort);
    const sign = this.descending ? -1 : 1;
    const keyed = items.map((item) => ({ item, by: value(item) ?? -1 }));
    keyed.sort((a, b) => (a.by < b.by ? -sign : a.by > b.by ? sign : 0));
    const wanted = keyed.slice(0, this.limit).map(({ item }) => item);
    const rows = new Map();
    for (const item of wanted) {
      const key = this.key(item);
      const row = this.rows.get(key) ?? this.makeRow();
      this.columns.forEach((column, at) => column.fill(row.cells[at], item));
      rows.set(key, row);
    }
    if (rows.size === 0) {
      say(this.nothing.firstChild, this.empty());
      rows.set(this, this.nothing);
    }
    this.place(rows);
  }

  makeRow() {
    const row = document.createElement("tr");
    for (const column of this.columns) row.insertCell().className = column.number ? "number" : "";
    return row;
  }

  // Rows that stay are not moved where that can be helped: a row that moves loses the focus in it.
  place(rows) {
    const staying = new Set(rows.values());
    for (const row of [...this.body.rows]) if (!staying.has(row)) row.remove();
    let next = this.body.firstChild;
    for (const row of staying) {
      if (row === next) next = next.nextSibling;
      else this.body.insertBefore(row, next);
    }
    this.rows = rows;
  }
}

const plain = (read) => (cell, item) => say(cell, read(item));

function operationsTable(element, empty) {
  const isBad = (cell, { errors }) => {
    say(cell, whole(errors));
    cell.classList.toggle("bad", errors > 0);
  };
  const total = (cell, item) => {
    if (!cell.firstChild) {
      cell.append(document.createElement("span"), document.createElement("span"));
      cell.lastChild.className = "bar";
    }
    say(cell.firstChild, micros(item.total_us));
    cell.lastChild.style.width = `${Math.round(100 * (item.share ?? 0))}%`;
  };
  const number = (id, label, show) => {
    const value = (it) => finite(it[id]);
    return { id, label, number: true, value, fill: plain((it) => show(value(it))) };
  };
  const word = (id, label) => ({ id, label, value: (it) => text(it[id]), fill: plain((it) => text(it[id])) });
  return new Table(element, [
    word("operation", "Operation"),
    { ...number("total_us", "Total time", micros), fill: total },
    number("requests", "Requests", whole),
    { ...number("errors", "Errors", whole), fill: isBad },
    number("p50", "p50", micros),
    number("p99", "p99", micros),
    number("p999", "p99.9", micros),
    number("max", "Max", micros),
    word("server", "Endpoint"),
    word("protocol", "Protocol"),
  ], {
    sort: "total_us", descending: true, limit: 50,
    key: (it) => JSON.stringify([it.server, it.protocol, it.operation]), empty,
  });
}

// What a cell shows of a text at most; the details show all of it.
const CELL_TEXT = 400;

function slowTable(element, open, empty) {
  const request = (cell, entry) => {
    if (cell.firstChild) return;
    const button = cell.appendChild(document.createElement("button"));
    button.type = "button";
    button.className = "open";
    const whatWasAsked = text(entry.raw.request) || text(entry.raw.operation) || "(empty)";
    say(button.appendChild(document.createElement("bdi")), whatWasAsked.slice(0, CELL_TEXT));
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => open(entry.raw));
  };
  const status = (cell, { raw }) => {
    say(cell, raw.cancelled ? "cancelled" : text(raw.status));
    cell.classList.toggle("bad", raw.status === "error");
  };
  // What a slow request is does not change, so its row is written once.
  const once = (read) => (cell, entry) => cell.firstChild || say(cell, read(entry).slice(0, CELL_TEXT));
  const word = (id, label) => ({ id, label, value: (it) => text(it.raw[id]), fill: once((it) => text(it.raw[id])) });
  return new Table(element, [
    { id: "time", label: "Time", number: true, value: (it) => it.time, fill: once((it) => preciseClock(it.time)) },
    {
      id: "latency", label: "Latency", number: true,
      value: (it) => it.latency, fill: once((it) => micros(it.latency)),
    },
    { id: "request", label: "Request", value: (it) => text(it.raw.request), fill: request },
    word("operation", "Operation"),
    word("server", "Endpoint"),
    word("client", "Client"),
    { ...word("status", "Status"), fill: status },
  ], { sort: "time", descending: true, limit: 200, key: (it) => it, empty });
}
