// Lines over time, drawn by uPlot, with a legend that shows the second under the cursor.

const LINE_COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

class LineChart {
  // `format` writes a value of the y axis; `decades` says whether the axis is logarithmic.
  constructor(host, legend, model, format) {
    Object.assign(this, { host, legend, model, format, decades: false, shown: "", plot: null, items: [], data: [[]] });
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
    host.addEventListener("keydown", (event) => this.onKey(event));
    host.addEventListener("blur", () => this.plot?.setCursor({ left: -10, top: -10 }));
  }

  size() {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  // Draws `lines`, each {label, colour, values}.
  draw(lines, decades) {
    const shown = JSON.stringify([lines.map(({ label, colour: name }) => [label, name]), decades, palette.version]);
    this.data = [this.model.times(), ...lines.map(({ values }) => values)];
    if (decades) {
      // A logarithmic axis has no zero; nothing is quicker than a tenth of a microsecond.
      const lifted = (value) => (value === null ? null : Math.max(value, 0.1));
      this.data = this.data.map((values, at) => (at === 0 ? values : values.map(lifted)));
    }
    if (shown === this.shown) {
      this.plot.setData(this.data);
    } else {
      this.shown = shown;
      this.decades = decades;
      this.rebuild(lines);
    }
    this.showValues();
  }

  rebuild(lines) {
    this.plot?.destroy();
    this.items = lines.map(({ label, colour: name }) => {
      const item = document.createElement("li");
      const mark = item.appendChild(document.createElement("i"));
      mark.style.background = palette.get(name);
      say(item.appendChild(document.createElement("span")), label);
      item.title = label;
      item.append(document.createElement("b"));
      return item;
    });
    this.legend.replaceChildren(...this.items);
    const axis = { stroke: palette.get("--quiet"), font: "12px system-ui, sans-serif", ticks: { show: false },
      grid: { stroke: palette.get("--grid"), width: 1 } };
    this.plot = new uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "time" }, points: { size: 7 } },
      scales: {
        x: { time: true, range: () => [this.model.end - WINDOW + 1, this.model.end] },
        y: { distr: this.decades ? 3 : 1, range: (_, least, most) => this.range(least, most) },
      },
      axes: [
        { ...axis, space: 70, size: 34, gap: 10, values: (_, at) => at.map(clock) },
        { ...axis, size: 64, space: 34, values: (_, at) => at.map((v) => (v == null ? "" : this.format(v))) },
      ],
      series: [{}, ...lines.map(({ label, colour: name }) => ({
        label, stroke: palette.get(name), width: 1.5, points: { size: 4, width: 1, fill: palette.get(name), filter: lonely },
      }))],
      hooks: { setCursor: [() => this.showValues()] },
    }, this.data, this.host);
  }

  range(least, most) {
    if (!this.decades) return [0, most > 0 ? most * 1.1 : 1];
    if (!(most > 0)) return [1, 1000];
    const from = 10 ** Math.floor(Math.log10(least));
    return [from, Math.max(10 ** Math.ceil(Math.log10(most)), from * 10)];
  }

  // The values under the cursor, or the latest.
  showValues() {
    const at = this.plot?.cursor.idx ?? this.data[0].length - 1;
    this.items.forEach((item, line) => say(item.lastChild, this.format(this.data[line + 1]?.[at] ?? null)));
  }

  onKey(event) {
    const last = this.data[0].length - 1;
    const at = this.plot?.cursor.idx ?? last + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (to === undefined || !this.plot || last < 0) return;
    event.preventDefault();
    const x = this.data[0][Math.min(Math.max(to, 0), last)];
    this.plot.setCursor({ left: this.plot.valToPos(x, "x"), top: 1 });
  }
}

// Values without a neighbour, which no line shows: they get a point.
function lonely(plot, line, isEveryPointShown) {
  if (isEveryPointShown) return null;
  const values = plot.data[line];
  return [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
}

// The colours of the theme in force. A new version makes everything that was drawn with the old be drawn anew.
const palette = {
  version: 0,
  known: new Map(),
  get(name) {
    if (!this.known.has(name)) this.known.set(name, colour(name));
    return this.known.get(name);
  },
  renew() {
    this.version += 1;
    this.known.clear();
  },
};
