// What the page knows: the last five minutes by second and endpoint, and the latest slow requests, bounded.

const WINDOW = 300;
const SLOW_KEPT = 1000;
const PERCENTILES = ["p50", "p90", "p99", "p999"];
const BUCKETS = [
  "<0.1ms", "0.1ms~0.2ms", "0.2~0.5ms", "0.5ms~1ms", "1ms~5ms", "5ms~10ms", "10ms~20ms", "20ms~50ms",
  "50ms~100ms", "100ms~200ms", "200ms~500ms", "0.5s~1s", "1s~2s", "2s~3s", "3s~5s", "5s~10s", "10s~20s", "+inf",
];

const list = (value) => (Array.isArray(value) ? value : []);
const finite = (value) => (Number.isFinite(value) ? value : null);
const text = (value) => (typeof value === "string" ? value : value == null ? "" : String(value));

// A slow request with what sorting and filtering ask for at every event, made once.
function slowEntry(raw) {
  const fields = ["operation", "request", "response", "server", "client", "protocol", "status"];
  return {
    raw,
    time: text(raw.time),
    latency: finite(raw.latency_us) ?? 0,
    words: fields.map((name) => text(raw[name])).join("\n").toLowerCase(),
  };
}

const identity = ({ raw }) => JSON.stringify([raw.time, raw.client, raw.server, raw.request, raw.latency_us]);

class Model {
  constructor() {
    this.reset();
  }

  reset() {
    this.ticks = []; // {t, servers, all}; null for both where nothing was heard
    this.known = new Map(); // by endpoint: {protocol, seen, requests} in the window
    this.operations = [];
    this.slow = []; // newest first
    this.early = new Map(); // how often each was fetched that a tick may still bring
    this.earlyTicks = 0;
    this.ledger = null;
    this.busy = [];
    this.busyUntil = 0;
  }

  get end() {
    return this.ticks.at(-1)?.t ?? Math.floor(Date.now() / 1000);
  }

  // A second of history: `servers` is a list of {name, requests, errors, bytes, p50, …, buckets}.
  addSecond(t, servers) {
    const last = this.ticks.at(-1)?.t;
    if (last !== undefined && t <= last) {
      // The clock was set back: what came before has no place on this axis any more.
      if (last - t > 10) {
        this.ticks = [];
        this.known.clear();
      } else {
        return;
      }
    } else if (last !== undefined && t - last >= 3) {
      this.ticks.push({ t: last + 1, servers: null, all: null });
    }
    const byName = new Map();
    // What all endpoints did together is summed once, not at every drawing.
    const all = { requests: 0, errors: 0, bytes: 0, buckets: new Array(BUCKETS.length).fill(0) };
    for (const server of servers) {
      for (const field of ["requests", "errors", "bytes"]) all[field] += finite(server[field]) ?? 0;
      for (let at = 0; at < BUCKETS.length; at += 1) all.buckets[at] += finite(server.buckets?.[at]) ?? 0;
      const name = text(server.name);
      byName.set(name, server);
      const known = this.known.get(name) ?? { protocol: "", seen: 0, requests: 0 };
      known.protocol = list(server.protocols).map(text).join(", ") || known.protocol;
      known.seen += 1;
      known.requests += finite(server.requests) ?? 0;
      this.known.set(name, known);
    }
    this.ticks.push({ t, servers: byName, all });
    while (this.ticks[0].t <= t - WINDOW) this.forget(this.ticks.shift());
  }

  forget({ servers }) {
    for (const [name, server] of servers ?? []) {
      const known = this.known.get(name);
      if (!known) continue;
      known.seen -= 1;
      known.requests -= finite(server.requests) ?? 0;
      if (known.seen <= 0) this.known.delete(name);
    }
  }

  // After a connection that broke, history tells what was missed; what is there already stays.
  addHistory(seconds) {
    const all = new Map();
    for (const { t, servers } of seconds) all.set(t, list(servers));
    for (const { t, servers } of this.ticks) if (servers) all.set(t, [...servers.values()]);
    this.ticks = [];
    this.known.clear();
    for (const t of [...all.keys()].sort((a, b) => a - b)) this.addSecond(t, all.get(t));
  }

  addTick(tick) {
    this.addSecond(tick.t, list(tick.servers));
    this.operations = list(tick.operations);
    this.ledger = tick.ledger ?? null;
    this.earlyTicks -= 1;
    if (this.earlyTicks <= 0) this.early.clear();
    this.addSlow(list(tick.slow).map(slowEntry).filter((entry) => !this.took(this.early, entry)));
  }

  // Whether a count of `entry` was left in `counts`; takes it.
  took(counts, entry) {
    const count = counts.get(identity(entry)) ?? 0;
    if (count > 0) counts.set(identity(entry), count - 1);
    return count > 0;
  }

  addSlow(entries) {
    if (entries.length === 0) return;
    this.slow = [...entries, ...this.slow]
      .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0))
      .slice(0, SLOW_KEPT);
  }

  // The latest slow ones, as fetched: some may be here already, and ticks that are under way may bring some
  // again. Equal ones are told apart by their number.
  mergeSlow(entries) {
    const count = (counts, entry) => counts.set(identity(entry), (counts.get(identity(entry)) ?? 0) + 1);
    const here = new Map();
    for (const entry of this.slow) count(here, entry);
    const added = entries.filter((entry) => !this.took(here, entry));
    this.early.clear();
    for (const entry of added) count(this.early, entry);
    this.earlyTicks = 5;
    this.addSlow(added);
  }

  // The endpoints that get a line of their own when all are shown. Chosen anew every ten seconds, so that
  // lines do not come and go.
  busiest(count) {
    if (this.end >= this.busyUntil || this.busy.length < Math.min(count, this.known.size)) {
      const names = [...this.known.keys()].sort((a, b) => this.known.get(b).requests - this.known.get(a).requests);
      this.busy = names.slice(0, count).sort();
      this.busyUntil = this.end + 10;
    }
    return this.busy;
  }

  times() {
    return this.ticks.map((tick) => tick.t);
  }

  // By second, a count of one endpoint ("" for all); null where nothing was heard.
  counts(name, field) {
    return this.ticks.map(({ servers, all }) => {
      if (!servers) return null;
      return finite((name === "" ? all : servers.get(name))?.[field]) ?? 0;
    });
  }

  // By second, a latency in µs of one endpoint; null where it answered nothing.
  latencies(name, field) {
    return this.ticks.map(({ servers }) => finite(servers?.get(name)?.[field]));
  }

  // By second, how many latencies fell into which bucket.
  buckets(name) {
    return this.ticks.map(({ t, servers, all }) => {
      const counts = list((name === "" ? all : servers?.get(name))?.buckets);
      return { t, sums: BUCKETS.map((_, at) => finite(counts[at]) ?? 0) };
    });
  }
}

// History comes in columns: {t: […], servers: [{name, protocols, requests: […], …, buckets: [[…], …]}]}.
function historySeconds(history) {
  const at = (columns, second) => Object.fromEntries(Object.entries(columns).map(([name, column]) => [
    name, Array.isArray(column) && name !== "protocols" ? column[second] : column,
  ]));
  return list(history?.t).map((t, second) => ({
    t, servers: list(history.servers).map((columns) => at(columns, second)),
  }));
}
