// Joins what comes from the agent, once a second, with what is shown, and what people press.

const $ = (id) => document.getElementById(id);
const model = new Model();
const shown = {
  endpoint: "", ledger: null, paused: false, pending: [], // what is shown
  window: "minute", listed: null, asking: null, // operations over longer than the ticks tell, null before they came
  events: null, started: null, heard: 0, retry: 1000, timer: 0, // whom it comes from
};

const throughput = new LineChart($("throughput"), $("throughput-legend"), model, short);
const latency = new LineChart($("latency"), $("latency-legend"), model, micros);
const heat = new HeatMap($("heat"), $("heat-readout"), model);
const operations = operationsTable($("operations"), () =>
  (shown.window === "minute" ? "No requests in the last minute." : shown.listed ? "No requests yet." : "Asking."));
const slow = slowTable($("slow"), openDetails, () =>
  (model.slow.length > 0 ? "No slow request matches." : "No slow requests yet."));
const tiles = figuresOf($("tiles"));
const figures = figuresOf($("ledger"));

// The named numbers in a list.
function figuresOf(host) {
  return [...host.children].map((box) => ({ box, label: box.firstElementChild, value: box.lastElementChild }));
}

let isDrawPlanned = false;
function planDraw() {
  if (isDrawPlanned) return;
  isDrawPlanned = true;
  requestAnimationFrame(() => {
    isDrawPlanned = false;
    draw();
  });
}

function draw() {
  const single = shown.endpoint !== "" ? shown.endpoint : model.known.size === 1 ? [...model.known.keys()][0] : "";
  drawEndpoints();
  drawTiles(single);
  drawCharts(single);
  heat.draw(single);
  drawOperations();
  drawSlow();
  const last = model.ticks.at(-1)?.t;
  if (last !== undefined) {
    say($("last"), clock(last));
    $("last").dataset.t = last;
  }
}

function drawEndpoints() {
  const select = $("endpoint");
  const names = new Set([...model.known.keys(), shown.endpoint].filter((name) => name !== "").sort());
  for (const option of [...select.options].slice(1)) if (!names.has(option.value)) option.remove();
  let at = 1;
  for (const name of names) {
    let option = select.options[at];
    if (option?.value !== name) {
      option = document.createElement("option");
      option.value = name;
      select.add(option, at);
    }
    const protocol = model.known.get(name)?.protocol;
    say(option, protocol ? `${name} (${protocol})` : name);
    at += 1;
  }
  say(select.options[0], `All endpoints (${model.known.size})`);
}

function drawTiles(single) {
  const { servers, all } = model.ticks.at(-1) ?? {};
  const chosen = single === "" ? [...(servers?.values() ?? [])] : [servers?.get(single)].filter(Boolean);
  const sum = (field) => finite((single === "" ? all : chosen[0])?.[field]) ?? 0;
  const most = (field) => chosen.reduce((so, server) => {
    const value = finite(server[field]);
    return value === null || (so !== null && so > value) ? so : value;
  }, null);
  const latencies = ["p50", "p99", "max"].map((field) => micros(most(field)));
  const values = [whole(sum("requests")), whole(sum("errors")), short(sum("bytes")), ...latencies];
  values.forEach((value, at) => say(tiles[at].value, value));
  // Percentiles of several endpoints cannot be joined into one, so this is that of the slowest.
  say(tiles[3].label, single === "" ? "p50, slowest" : "p50");
  say(tiles[4].label, single === "" ? "p99, slowest" : "p99");
}

function drawCharts(single) {
  $("percentile-label").toggleAttribute("data-hidden", single !== "");
  $("percentile").disabled = single !== "";
  const decades = $("log").checked;
  if (single !== "") {
    throughput.draw([
      { label: "requests", colour: "--line-1", values: model.counts(single, "requests") },
      { label: "errors", colour: "--line-4", values: model.counts(single, "errors") },
    ], false);
    latency.draw(PERCENTILES.map((field, at) => ({
      label: field === "p999" ? "p99.9" : field, colour: LINE_COLOURS[at], values: model.latencies(single, field),
    })), decades);
    return;
  }
  const names = model.busiest(LINE_COLOURS.length);
  const line = (name, at, values) => ({ label: name, colour: LINE_COLOURS[at], values });
  const lines = names.map((name, at) => line(name, at, model.counts(name, "requests")));
  const all = model.counts("", "requests");
  const rest = model.known.size - names.length;
  if (rest > 0) {
    const left = (sum, at) => lines.reduce((so, { values }) => so - values[at], sum);
    const values = all.map((sum, at) => (sum === null ? null : left(sum, at)));
    lines.push({ label: `${rest} others`, colour: "--line-rest", values });
  }
  throughput.draw(lines, false);
  const field = $("percentile").value;
  latency.draw(names.map((name, at) => line(name, at, model.latencies(name, field))), decades);
}

function drawOperations() {
  const all = shown.window === "minute" ? model.operations : (shown.listed ?? []);
  const chosen = all.filter((it) => shown.endpoint === "" || it.server === shown.endpoint);
  const most = chosen.reduce((so, it) => Math.max(so, finite(it.total_us) ?? 0), 1);
  operations.draw(chosen.map((it) => ({ ...it, share: (finite(it.total_us) ?? 0) / most })));
}

function drawSlow() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const isChosen = (server) => shown.endpoint === "" || server === shown.endpoint;
  const matching = model.slow.filter((entry) =>
    isChosen(entry.raw.server) && words.every((word) => entry.words.includes(word)));
  slow.draw(matching);
  const first = matching.length > slow.limit ? `first ${slow.limit} of ` : "";
  say($("slow-count"), `${first}${whole(matching.length)} of ${whole(model.slow.length)}`);
}

// What was lost is told at once, also while the rest is paused.
function drawLedger() {
  const ledger = shown.ledger;
  if (!ledger) return;
  const names = ["lost", "missing_bytes", "unread_bytes", "script_errors"];
  const counts = names.map((name) => finite(ledger[name]) ?? 0);
  const [lost, missing, unread, script] = counts;
  counts.forEach((value, at) => {
    say(figures[at].value, whole(value));
    figures[at].box.classList.toggle("bad", value > 0 && at !== 2);
  });
  const lines = list(ledger.lines).slice(0, 100).map(text);
  const isStale = ledger.is_stale === true;
  const isLoss = lost > 0 || missing > 0 || isStale;
  const isNoted = unread > 0 || script > 0 || lines.length > 0;
  $("banner").dataset.state = isLoss ? "loss" : isNoted ? "note" : "calm";
  // Only the first words are announced to screen readers; the counts behind them change every second.
  const calm = isNoted ? "Nothing was lost, but not all was read." : "Nothing was lost.";
  const loss = isStale ? "The agent's output takes nothing: losses are not known." : "Traffic was lost.";
  say($("banner-text"), isLoss ? loss : calm);
  const losses = [[lost, "packets"], [missing, "bytes missing"]];
  const notes = [[unread, "bytes not read"], [script, "script errors"]];
  const counted = (isLoss ? losses : notes).filter(([count]) => count > 0);
  const detail = counted.map(([count, what]) => `${whole(count)} ${what}`).join(", ");
  say($("banner-detail"), detail + (isLoss ? "; counts are too low." : ""));
  const host = $("ledger-lines");
  while (host.childElementCount > Math.max(lines.length, 1)) host.lastChild.remove();
  (lines.length > 0 ? lines : ["No warnings."]).forEach((line, at) =>
    say(host.children[at] ?? host.appendChild(document.createElement("li")), line));
}

function openDetails(raw) {
  const rows = [];
  const add = (name, value) => {
    const term = document.createElement("dt");
    const given = document.createElement("dd");
    say(term, name);
    say(given, value);
    rows.push(term, given);
  };
  for (const [name, value] of Object.entries(raw)) {
    if (name === "fields") continue;
    add(name.replace(/_us$/, "").replaceAll("_", " "), name.endsWith("_us") ? micros(finite(value)) : text(value));
  }
  for (const [name, value] of Object.entries(raw.fields ?? {})) add(name, text(value));
  $("details-list").replaceChildren(...rows);
  $("details").showModal();
}

// --- What comes from the agent ---

function setConnection(state, words) {
  $("connection").dataset.state = state;
  say($("connection"), words);
}

function showLiveOrPaused() {
  const state = shown.paused ? "paused" : "live";
  setConnection(state, state);
}

function connect() {
  shown.events?.close();
  shown.heard = Date.now();
  const events = new EventSource("events");
  shown.events = events;
  const on = (name, act) => events.addEventListener(name, (event) => {
    shown.heard = Date.now();
    shown.retry = 1000;
    act(JSON.parse(event.data));
  });
  on("hello", onHello);
  on("history", (history) => whenShown(() => model.addHistory(historySeconds(history))));
  on("tick", onTick);
  events.addEventListener("error", () => {
    if (events !== shown.events) return;
    setConnection("lost", "reconnecting");
    // The browser tries again by itself, unless it was refused.
    if (events.readyState === EventSource.CLOSED) connectLater();
  });
}

function connectLater() {
  clearTimeout(shown.timer);
  shown.timer = setTimeout(connect, shown.retry);
  shown.retry = Math.min(shown.retry * 2, 10000);
}

// While paused, what comes waits, as much as the charts hold.
function whenShown(act) {
  if (shown.paused) {
    shown.pending.push(act);
    if (shown.pending.length > WINDOW) shown.pending.shift();
    return;
  }
  act();
  planDraw();
}

function onHello(hello) {
  // Another run of the agent counts from zero.
  if (shown.started !== null && shown.started !== hello.started_unix) {
    model.reset();
    shown.pending = [];
    setWindow(shown.window);
  }
  shown.started = hello.started_unix ?? null;
  const since = finite(hello.started_unix);
  const protocols = list(hello.protocols).map(text).join(", ");
  const from = since ? `since ${new Date(since * 1000).toLocaleString()}` : "";
  say($("about"), [`tcpkit ${text(hello.version)}`, protocols, from].filter((it) => it !== "").join(", "));
  fetchSlow();
}

async function fetchSlow() {
  try {
    const answer = await fetch(`transactions?slow=0&limit=${SLOW_KEPT}`);
    if (!answer.ok) return;
    const entries = list(await answer.json()).map(slowEntry);
    whenShown(() => model.mergeSlow(entries));
  } catch {
    // The connection broke; the next one asks again.
  }
}

// Ticks tell of the last minute only; what is wanted over longer is asked for, never twice at the same time.
async function askOperations() {
  if (shown.window === "minute" || shown.asking) return;
  const asking = new AbortController();
  shown.asking = asking;
  try {
    const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(10000)]);
    const answer = await fetch(`operations?window=${shown.window}`, { signal });
    const listed = answer.ok ? list(await answer.json()) : null;
    // Nobody wants to know any more what was asked for before.
    if (listed && shown.asking === asking) shown.listed = listed;
  } catch {
    // Given up, or the connection broke: the next tick asks again.
  }
  if (shown.asking === asking) shown.asking = null;
  planDraw();
}

function setWindow(window) {
  shown.asking?.abort();
  Object.assign(shown, { window, listed: null, asking: null });
  $("window").value = window;
  askOperations();
  // At once, so that no number stands under a window that it is not of.
  drawOperations();
}

function onTick(tick) {
  if (!Number.isFinite(tick.t)) return;
  shown.ledger = tick.ledger ?? shown.ledger;
  drawLedger();
  showLiveOrPaused();
  whenShown(() => model.addTick(tick));
  if (!shown.paused) askOperations();
}

// A connection may die without a word.
setInterval(() => {
  const quiet = Date.now() - shown.heard;
  if (quiet > 5000) setConnection("lost", `no data for ${Math.floor(quiet / 1000)} s`);
  if (quiet > 15000) connect();
}, 1000);

// --- What people press ---

$("pause").addEventListener("click", () => {
  shown.paused = !shown.paused;
  say($("pause"), shown.paused ? "Resume" : "Pause");
  if ($("connection").dataset.state !== "lost") showLiveOrPaused();
  if (shown.paused) return;
  for (const act of shown.pending.splice(0)) act();
  planDraw();
});

$("endpoint").addEventListener("change", (event) => {
  shown.endpoint = event.target.value;
  planDraw();
});
$("window").addEventListener("change", (event) => {
  kept("window", event.target.value);
  setWindow(event.target.value);
});
for (const id of ["percentile", "log"]) $(id).addEventListener("change", planDraw);
$("filter").addEventListener("input", planDraw);
operations.onSort = planDraw;
slow.onSort = planDraw;
$("details-close").addEventListener("click", () => $("details").close());

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input[type=search], textarea, select, dialog");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
  event.preventDefault();
  $("filter").focus();
});

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  say($("theme"), `Theme: ${theme}`);
  palette.renew();
  planDraw();
}

// Browsers may refuse to keep anything; then what was chosen lasts as long as the page.
function kept(what, value) {
  try {
    if (value !== undefined) localStorage.setItem(`tcpkit-${what}`, value);
    return localStorage.getItem(`tcpkit-${what}`);
  } catch {
    return null;
  }
}

const THEMES = ["auto", "light", "dark"];
$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  kept("theme", next);
  setTheme(next);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  palette.renew();
  planDraw();
});

const oneOf = (known, wanted) => (known.includes(wanted) ? wanted : known[0]);
setTheme(oneOf(THEMES, kept("theme")));
setWindow(oneOf([...$("window").options].map((option) => option.value), kept("window")));
connect();
