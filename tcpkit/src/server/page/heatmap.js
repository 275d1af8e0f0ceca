// Latency over time as a map: a column a second, a row a bucket, a colour for how many.

const HEAT_STEPS = 64;
const HEAT_LEFT = 92;
const HEAT_BOTTOM = 22;

class HeatMap {
  constructor(canvas, readout, model) {
    Object.assign(this, { canvas, readout, model, columns: [], chosen: null, ramp: [], rampVersion: -1, name: "" });
    new ResizeObserver(() => this.paint()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.choose(this.cellAt(event)));
    canvas.addEventListener("pointerleave", () => this.choose(null));
    canvas.addEventListener("blur", () => this.choose(null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  draw(name) {
    this.columns = this.model.buckets(name);
    this.paint();
    this.show();
  }

  // Colours from few to many, between the five that the style sheet names.
  colours() {
    if (this.rampVersion !== palette.version) {
      this.rampVersion = palette.version;
      const stops = [0, 1, 2, 3, 4].map((at) => palette.get(`--heat-${at}`).match(/[\d.]+/g).map(Number));
      this.ramp = Array.from({ length: HEAT_STEPS }, (_, step) => {
        const place = (step / (HEAT_STEPS - 1)) * (stops.length - 1);
        const from = Math.min(Math.floor(place), stops.length - 2);
        const part = place - from;
        const mixed = [0, 1, 2].map((at) => Math.round(stops[from][at] * (1 - part) + stops[from + 1][at] * part));
        return `rgb(${mixed.join(" ")})`;
      });
    }
    return this.ramp;
  }

  layout() {
    const width = this.canvas.clientWidth - HEAT_LEFT;
    const height = this.canvas.clientHeight - HEAT_BOTTOM;
    return { width, height, cell: width / WINDOW, row: height / BUCKETS.length, start: this.model.end - WINDOW + 1 };
  }

  paint() {
    const { canvas } = this;
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const box = this.layout();
    context.fillStyle = palette.get("--heat-back");
    context.fillRect(HEAT_LEFT, 0, box.width, box.height);
    this.paintCells(context, box);
    this.paintAxes(context, box);
    if (this.chosen) {
      context.strokeStyle = palette.get("--text");
      context.lineWidth = 2;
      const x = HEAT_LEFT + (this.chosen.t - box.start) * box.cell;
      const y = (BUCKETS.length - 1 - this.chosen.bucket) * box.row;
      context.strokeRect(x - 1, y, Math.max(box.cell, 2) + 2, box.row);
    }
  }

  paintCells(context, { cell, row, start }) {
    const colours = this.colours();
    let most = 0;
    for (const { sums } of this.columns) for (const count of sums) most = Math.max(most, count);
    // Few slow ones must be seen beside many quick ones, so colours go by the logarithm.
    const steps = (HEAT_STEPS - 1) / Math.log(1 + Math.max(most, 1));
    for (const { t, sums } of this.columns) {
      const x = HEAT_LEFT + (t - start) * cell;
      if (x < HEAT_LEFT - 0.5) continue;
      sums.forEach((count, bucket) => {
        if (count <= 0) return;
        context.fillStyle = colours[Math.round(Math.log(1 + count) * steps)];
        context.fillRect(x, (BUCKETS.length - 1 - bucket) * row, cell + 0.4, row - 0.5);
      });
    }
  }

  paintAxes(context, { width, height, cell, row, start }) {
    context.fillStyle = palette.get("--quiet");
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    BUCKETS.forEach((name, bucket) => {
      context.fillText(name, HEAT_LEFT - 6, (BUCKETS.length - 0.5 - bucket) * row);
    });
    const step = [30, 60, 120].find((seconds) => seconds * cell >= 70) ?? 300;
    context.textAlign = "center";
    for (let t = Math.ceil(start / step) * step; t < start + WINDOW; t += step) {
      const x = HEAT_LEFT + (t - start) * cell;
      if (x > HEAT_LEFT + 20 && x < HEAT_LEFT + width - 26) context.fillText(clock(t), x, height + HEAT_BOTTOM / 2 + 2);
    }
  }

  cellAt(event) {
    const place = this.canvas.getBoundingClientRect();
    const { cell, row, start } = this.layout();
    const t = start + Math.floor((event.clientX - place.left - HEAT_LEFT) / cell);
    const bucket = BUCKETS.length - 1 - Math.floor((event.clientY - place.top) / row);
    return t >= start && t < start + WINDOW && bucket >= 0 && bucket < BUCKETS.length ? { t, bucket } : null;
  }

  onKey(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Escape") this.choose(null);
    if (!move) return;
    event.preventDefault();
    const { t, bucket } = this.chosen ?? { t: this.model.end, bucket: 0 };
    const by = this.chosen ? move : [0, 0];
    this.choose({
      t: Math.min(Math.max(t + by[0], this.model.end - WINDOW + 1), this.model.end),
      bucket: Math.min(Math.max(bucket + by[1], 0), BUCKETS.length - 1),
    });
  }

  choose(cell) {
    if (cell === this.chosen) return;
    this.chosen = cell;
    this.paint();
    this.show();
  }

  show() {
    if (!this.chosen) return say(this.readout, "Point at a cell, or use the arrow keys.");
    const { t, bucket } = this.chosen;
    const column = this.columns.find((it) => Math.floor(it.t) === Math.floor(t));
    return say(this.readout, `${clock(t)}, ${BUCKETS[bucket]}: ${whole(column?.sums[bucket] ?? 0)} requests`);
  }
}
