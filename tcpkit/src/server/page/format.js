// Numbers and times as people read them.

const WHOLE = new Intl.NumberFormat("en");

function trimmed(value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function whole(value) {
  return value == null ? "–" : WHOLE.format(value);
}

// 12345 as "12.3k".
function short(value) {
  if (value == null) return "–";
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return trimmed(value / size) + unit;
  }
  return trimmed(value);
}

// Microseconds with the unit that fits.
function micros(value) {
  if (value == null) return "–";
  if (value >= 1e6) return `${trimmed(value / 1e6)} s`;
  if (value >= 1e3) return `${trimmed(value / 1e3)} ms`;
  return `${trimmed(value)} µs`;
}

const two = (value) => String(value).padStart(2, "0");

// Local time of day, from Unix seconds.
function clock(seconds) {
  const date = new Date(seconds * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function preciseClock(iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return iso;
  return `${clock(Math.floor(at / 1000))}.${String(((at % 1000) + 1000) % 1000).padStart(3, "0")}`;
}

// A colour of the style sheet, as the theme in force has it.
function colour(name) {
  const probe = document.getElementById("ramp");
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

// Control and direction characters as escapes, so that a text cannot pretend to be another.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function visible(value) {
  return value.replace(HIDDEN, (hidden) => `\\u{${hidden.charCodeAt(0).toString(16)}}`);
}

// Sets text only where it changed. Text from the wire goes through here, and never becomes markup.
function say(element, value) {
  const seen = visible(value);
  if (element.textContent !== seen) element.textContent = seen;
}
