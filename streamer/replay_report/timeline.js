"use strict";
// The timeline of one camera: its sources one after the other, drawn on a canvas.

const STATES = {
  kept: "told, as replayed", gained: "gained", lost: "lost",
};
const MARGIN = { left: 40, right: 8, top: 22, axis: 20, events: 18, labels: 14 };
const SHORTEST_VIEW_S = 4;
const TICKS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400,
  172800, 604800];

/** `2026-11-27 06:00:01`, of UTC seconds. */
function clock(utc_s, date = true, decimals = false) {
  const text = new Date(utc_s * 1000).toISOString();
  return text.slice(date ? 0 : 11, decimals ? 23 : 19).replace("T", " ");
}

/** `6 h 12 min`. */
function spell(seconds) {
  if (seconds < 1) return `${seconds.toFixed(1)} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let at = units.findIndex(([, size]) => seconds >= size);
  const size = units[Math.min(at + 1, 3)][1];
  let left = Math.round(seconds / size) * size;
  at = units.findIndex(([, own]) => left >= own);
  const parts = [];
  for (const [name, own] of units.slice(at, at + 2)) {
    const count = Math.floor(left / own);
    left -= count * own;
    if (count) parts.push(`${count} ${name}`);
  }
  return parts.join(" ");
}

class Timeline {
  /** `onMark(source, start, end)`, `onPick(event)`, `onRead(text)` tell what a person did. */
  constructor(canvas, told) {
    this.canvas = canvas;
    this.told = told;
    this.sources = [];
    this.marking = false;
    this.selection = null;
    this.picked = null;
    this.leave = 0.7;
    this.view = [0, 1];
    this._due = false;
    this._pointers = new Map();
    this._listen();
  }

  /** Show other sources: {start, end, low, high, bands, track, levels, events, labels}. */
  load(sources) {
    const length = sources.reduce((sum, one) => sum + this._length(one), 0);
    this.pause = sources.length > 1 ? length * Math.min(0.004, 0.1 / sources.length) : 0;
    let at = 0;
    for (const one of sources) {
      one.at = at;
      at += this._length(one) + this.pause;
    }
    this.sources = sources;
    this.total = Math.max(at - this.pause, 0.1);
    this.all();
  }

  all() { this.show(0, this.total); }

  /** Show from here to there, in seconds of the footage. */
  show(from, to) {
    const length = Math.min(Math.max(to - from, Math.min(SHORTEST_VIEW_S, this.total)), this.total);
    const middle = (from + to) / 2;
    const first = Math.min(Math.max(middle - length / 2, 0), this.total - length);
    this.view = [first, first + length];
    this.draw();
  }

  zoom(times, at = (this.view[0] + this.view[1]) / 2) {
    const [from, to] = this.view;
    this.show(at - (at - from) / times, at + (to - at) / times);
  }

  pan(share) {
    const by = (this.view[1] - this.view[0]) * share;
    this.show(this.view[0] + by, this.view[1] + by);
  }

  showSource(one) { this.show(one.at, one.at + this._length(one)); }

  showEvent(source, event) {
    const around = Math.max(15, 2 * (event.end - event.start));
    const at = source.at - source.start;
    this.picked = event;
    this.show(event.start + at - around, event.end + at + around);
  }

  /** What is in view of the source in the middle: [source, start, end] in UTC seconds. */
  inView() {
    const found = this._at((this.view[0] + this.view[1]) / 2);
    if (found === null) return null;
    const [one] = found;
    const utc = (at) => Math.min(Math.max(at - one.at, 0), this._length(one)) + one.start;
    return [one, utc(this.view[0]), utc(this.view[1])];
  }

  draw() {
    if (this._due) return;
    this._due = true;
    requestAnimationFrame(() => {
      this._due = false;
      this._draw();
    });
  }

  _length(one) { return Math.max(one.end - one.start, 0.1); }

  _at(at) {
    for (const one of this.sources) {
      if (at >= one.at && at <= one.at + this._length(one)) return [one, at - one.at + one.start];
    }
    return null;
  }

  _x(at) { return MARGIN.left + ((at - this.view[0]) / (this.view[1] - this.view[0])) * this._w; }

  _time(x) {
    return this.view[0] + ((x - MARGIN.left) / this._w) * (this.view[1] - this.view[0]);
  }

  _y(score) {
    const share = Math.sqrt(Math.max(score, 0) / this._top);
    return MARGIN.top + this._h * (1 - Math.min(share, 1));
  }

  _draw() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width) return;
    const density = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(box.width * density);
    this.canvas.height = Math.round(box.height * density);
    const pen = this.canvas.getContext("2d");
    pen.scale(density, density);
    const style = getComputedStyle(document.documentElement);
    this.colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this._w = box.width - MARGIN.left - MARGIN.right;
    this._h = box.height - MARGIN.top - MARGIN.axis - MARGIN.events - MARGIN.labels;
    pen.font = "12px system-ui, sans-serif";
    const shown = this.sources.filter(
      (one) => one.at + this._length(one) >= this.view[0] && one.at <= this.view[1],
    );
    this._top = this._highest(shown);
    pen.fillStyle = this.colour("panel");
    pen.fillRect(0, 0, box.width, box.height);
    this._scale(pen);
    pen.save();
    pen.beginPath();
    pen.rect(MARGIN.left, 0, this._w, box.height);
    pen.clip();
    this._ticks(pen, shown, box.height);
    let free = -Infinity;
    for (const one of shown) {
      this._bands(pen, one);
      this._scores(pen, one);
      this._threshold(pen, one);
      this._events(pen, one);
      this._labels(pen, one);
      free = this._name(pen, one, free);
    }
    this._pauses(pen, shown);
    if (this.selection) {
      const [from, to] = this.selection.map((at) => this._x(at));
      pen.fillStyle = this.colour("select");
      pen.fillRect(Math.min(from, to), MARGIN.top, Math.abs(to - from), this._h);
    }
    pen.restore();
  }

  _highest(shown) {
    let top = 1;
    for (const one of shown) {
      for (const level of one.levels.level) top = Math.max(top, level * 1.5);
      const step = this._length(one) / one.high.length;
      const [from, to] = [(this.view[0] - one.at) / step - 1, (this.view[1] - one.at) / step];
      const last = Math.min(one.high.length - 1, Math.ceil(to));
      for (let k = Math.max(0, Math.floor(from)); k <= last; k++) {
        if (one.high[k] > top) top = one.high[k];
      }
    }
    return top * 1.05;
  }

  _scale(pen) {
    const steps = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 1e5, 1e6];
    let free = Infinity;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const level of steps) {
      const y = this._y(level);
      if (level > this._top || y > free) continue;
      free = y - 18;
      pen.fillStyle = this.colour("line");
      pen.fillRect(MARGIN.left, Math.round(y), this._w, 1);
      pen.fillStyle = this.colour("soft");
      pen.fillText(level >= 1000 ? `${level / 1000}k` : String(level), MARGIN.left - 5, y);
    }
  }

  _span(one, start, end, least = 1) {
    const at = one.at - one.start;
    const [from, to] = [this._x(start + at), this._x(end + at)];
    return [from, Math.max(to - from, least)];
  }

  _bands(pen, one) {
    for (const [start, end, what] of one.bands) {
      const [x, width] = this._span(one, start, end, 2);
      pen.fillStyle = this.colour("band");
      pen.fillRect(x, MARGIN.top, width, this._h);
      pen.strokeStyle = this.colour("soft");
      pen.lineWidth = 1;
      pen.save();
      pen.beginPath();
      pen.rect(x, MARGIN.top, width, this._h);
      pen.clip();
      pen.beginPath();
      const first = Math.max(x, MARGIN.left) - (Math.max(x, MARGIN.left) % 8) - this._h;
      for (let at = first; at < Math.min(x + width, MARGIN.left + this._w); at += 8) {
        pen.moveTo(at, MARGIN.top + this._h);
        pen.lineTo(at + this._h, MARGIN.top);
      }
      pen.globalAlpha = 0.25;
      pen.stroke();
      pen.restore();
      if (width > pen.measureText(what).width + 8) {
        pen.fillStyle = this.colour("text");
        pen.textAlign = "left";
        pen.fillText(what.replace("_", " "), Math.max(x, MARGIN.left) + 4, MARGIN.top + 8);
      }
    }
  }

  /** Lowest to highest of each column; single frames, as far as they are known, when near. */
  _scores(pen, one) {
    const n = one.high.length;
    const step = this._length(one) / n;
    const wide = (step / (this.view[1] - this.view[0])) * this._w;
    pen.fillStyle = this.colour("score");
    const first = Math.max(0, Math.floor((this.view[0] - one.at) / step));
    const last = Math.min(n - 1, Math.ceil((this.view[1] - one.at) / step));
    let [x, low, high] = [-1, Infinity, -Infinity];
    const flush = (width) => {
      if (high < low) return;
      const y = this._y(high);
      pen.fillRect(x, y, width, Math.max(this._y(low) - y, 1.5));
      [low, high] = [Infinity, -Infinity];
    };
    pen.globalAlpha = wide > 6 && one.track !== null ? 0.3 : 1;
    for (let k = first; k <= last; k++) {
      const at = wide < 1 ? Math.floor(this._x(one.at + k * step)) : this._x(one.at + k * step);
      if (at !== x) {
        flush(Math.max(wide, 1) + 0.3);
        x = at;
      }
      if (one.high[k] === one.high[k]) {
        low = Math.min(low, one.low[k]);
        high = Math.max(high, one.high[k]);
      }
    }
    flush(Math.max(wide, 1) + 0.3);
    pen.globalAlpha = 1;
    if (wide > 6 && one.track !== null) this._frames(pen, one);
  }

  _frames(pen, one) {
    const { row, utc_s, score } = one.track;
    const at = one.at - one.start;
    pen.strokeStyle = pen.fillStyle = this.colour("score");
    pen.lineWidth = 2;
    pen.beginPath();
    let k = 0;
    while (k < row.length && utc_s[k] + at < this.view[0]) k++;
    for (k = Math.max(k - 1, 0); k < row.length; k++) {
      const [x, y] = [this._x(utc_s[k] + at), this._y(score[k])];
      const joined = k > 0 && row[k] === row[k - 1] + 1 && utc_s[k] - utc_s[k - 1] <= 3;
      if (joined) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      if (utc_s[k] + at > this.view[1]) break;
    }
    pen.stroke();
  }

  _threshold(pen, one) {
    const { utc_s, level } = one.levels;
    pen.strokeStyle = this.colour("threshold");
    pen.lineWidth = 1.5;
    for (const share of [1, this.leave]) {
      pen.setLineDash(share === 1 ? [] : [3, 4]);
      pen.beginPath();
      for (let k = 0; k < level.length; k++) {
        const start = k === 0 ? one.start : utc_s[k];
        const end = k + 1 < level.length ? utc_s[k + 1] : one.end;
        const [x, width] = this._span(one, start, end, 0);
        pen.lineTo(x, this._y(level[k] * share));
        pen.lineTo(x + width, this._y(level[k] * share));
      }
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  _events(pen, one) {
    const y = MARGIN.top + this._h + 3;
    for (const event of one.events) {
      const [x, width] = this._span(one, event.start, event.end, 4);
      if (x + width < MARGIN.left || x > MARGIN.left + this._w) continue;
      const [middle, tall] = [x + width / 2, MARGIN.events - 6];
      pen.fillStyle = pen.strokeStyle = this.colour(event.state);
      if (event.state === "lost") {
        pen.lineWidth = 2;
        pen.strokeRect(Math.min(x, middle - 3) + 1, y + 1, Math.max(width - 2, 4), tall - 2);
      } else if (event.state === "gained") {
        pen.beginPath();
        pen.moveTo(Math.min(x, middle - 4), y + tall);
        pen.lineTo(middle, y);
        pen.lineTo(Math.max(x + width, middle + 4), y + tall);
        pen.fill();
      } else pen.fillRect(x, y, width, tall);
      if (this.picked !== null && this.picked.start === event.start) {
        pen.globalAlpha = 0.16;
        pen.fillStyle = this.colour(event.state);
        pen.fillRect(x, MARGIN.top, width, this._h + 2);
        pen.globalAlpha = 1;
        pen.lineWidth = 2;
        pen.strokeStyle = this.colour("text");
        pen.strokeRect(x - 2, y - 2, width + 4, MARGIN.events - 2);
      }
    }
  }

  _labels(pen, one) {
    const y = MARGIN.top + this._h + MARGIN.events + 1;
    for (const label of one.labels) {
      const [x, width] = this._span(one, label.start, label.end, 4);
      pen.fillStyle = this.colour(label.kind);
      pen.fillRect(x, y, width, 8);
      if (label.kind === "normal") {
        pen.fillStyle = this.colour("panel");
        pen.fillRect(x, y + 3, width, 2);
      }
    }
  }

  _name(pen, one, free) {
    const from = Math.max(this._x(one.at), MARGIN.left, free);
    const room = this._x(one.at + this._length(one)) - from - 6;
    if (this.sources.length < 2 || room < 30) return free;
    let text = one.name;
    while (text.length > 2 && pen.measureText(text).width > room) text = `${text.slice(0, -2)}…`;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = this.colour("soft");
    pen.fillText(text, from + 3, 10);
    return from + room;
  }

  _pauses(pen, shown) {
    if (!this.pause) return;
    pen.fillStyle = this.colour("pause");
    for (const one of shown) {
      const x = this._x(one.at + this._length(one));
      const width = Math.max((this.pause / (this.view[1] - this.view[0])) * this._w, 1);
      pen.fillRect(x, 4, width, MARGIN.top + this._h + MARGIN.events + MARGIN.labels - 4);
    }
  }

  _ticks(pen, shown, height) {
    const seconds = (this.view[1] - this.view[0]) / (this._w / 90);
    const step = TICKS_S.find((one) => one >= seconds) || TICKS_S[TICKS_S.length - 1];
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    let free = -Infinity;
    for (const one of shown) {
      const from = Math.max(one.start, one.start + this.view[0] - one.at);
      const to = Math.min(one.end, one.start + this.view[1] - one.at);
      let at = Math.ceil(from / step) * step;
      if (at > to) at = from;
      for (; at <= to; at += step) {
        const here = this._x(at - one.start + one.at);
        const text = step < 43200 ? clock(at, false) : clock(at).slice(0, 10);
        const half = pen.measureText(text).width / 2 + 4;
        const x = Math.max(here, MARGIN.left + half);
        if (x - half < free || x + half > MARGIN.left + this._w) continue;
        free = x + half + 12;
        pen.fillStyle = this.colour("line");
        pen.fillRect(Math.round(here), MARGIN.top, 1, this._h);
        pen.fillStyle = this.colour("soft");
        pen.fillText(text, x, height - 9);
      }
    }
  }

  _read(x) {
    const found = this._at(this._time(x));
    if (found === null) return this.told.onRead("");
    const [one, utc] = found;
    const n = one.high.length;
    const k = Math.min(n - 1, Math.floor(((utc - one.start) / this._length(one)) * n));
    let segment = 0;
    while (segment + 1 < one.levels.level.length && one.levels.utc_s[segment + 1] <= utc) segment++;
    const score = one.high[k] === one.high[k] ? `score up to ${one.high[k].toFixed(1)}` : "no score";
    const bands = one.bands.filter(([start, end]) => utc >= start && utc <= end);
    const held = bands.length ? `; ${bands.map((band) => band[2].replace("_", " ")).join(", ")}` : "";
    return this.told.onRead(
      `${clock(utc)}, ${score}, threshold ${one.levels.level[segment].toFixed(1)}${held}`
      + (this.sources.length > 1 ? ` — ${one.name}` : ""),
    );
  }

  _listen() {
    const canvas = this.canvas;
    const position = (event) => event.clientX - canvas.getBoundingClientRect().left;
    let grip = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this._pointers.set(event.pointerId, position(event));
      const x = position(event);
      grip = { x, view: [...this.view], moved: false, pinch: this._pinch() };
      if (this.marking) this.selection = [this._time(x), this._time(x)];
    });
    canvas.addEventListener("pointermove", (event) => {
      const x = position(event);
      this._read(x);
      if (grip === null || !this._pointers.has(event.pointerId)) return;
      this._pointers.set(event.pointerId, x);
      grip.moved = grip.moved || Math.abs(x - grip.x) > 4;
      if (this._pointers.size === 2 && grip.pinch) {
        const [distance, middle] = this._pinch();
        const times = Math.max(distance, 10) / Math.max(grip.pinch[0], 10);
        const [from, to] = grip.view;
        const at = from + ((middle - MARGIN.left) / this._w) * (to - from);
        this.show(at - (at - from) / times, at + (to - at) / times);
      } else if (this.marking) {
        this.selection[1] = this._time(x);
        this.draw();
      } else if (grip.moved && this._pointers.size === 1) {
        const by = ((grip.x - x) / this._w) * (grip.view[1] - grip.view[0]);
        this.show(grip.view[0] + by, grip.view[1] + by);
      }
    });
    const end = (event) => {
      if (!this._pointers.delete(event.pointerId) || grip === null) return;
      if (this._pointers.size) {
        grip = { x: [...this._pointers.values()][0], view: [...this.view], moved: true, pinch: null };
        return;
      }
      if (this.selection) this._select(grip.moved && event.type === "pointerup");
      else if (!grip.moved) this._pick(grip.x);
      grip = null;
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && !event.deltaX) return;
      event.preventDefault();
      if (event.ctrlKey) this.zoom(Math.exp(-event.deltaY / 200), this._time(position(event)));
      else this.pan((event.deltaX || event.deltaY) / 500);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const does = {
        ArrowLeft: () => this.pan(-0.15), ArrowRight: () => this.pan(0.15),
        "+": () => this.zoom(1.6), "=": () => this.zoom(1.6), "-": () => this.zoom(1 / 1.6),
        0: () => this.all(), Home: () => this.show(0, this.view[1] - this.view[0]),
        End: () => this.show(this.total - (this.view[1] - this.view[0]), this.total),
      }[event.key];
      if (does === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      does();
      this._read(MARGIN.left + this._w / 2);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  _pinch() {
    if (this._pointers.size !== 2) return null;
    const [one, other] = [...this._pointers.values()];
    return [Math.abs(one - other), (one + other) / 2];
  }

  /** What was dragged over becomes a label in each source that it touches. */
  _select(done) {
    const [from, to] = [...this.selection].sort((one, other) => one - other);
    this.selection = null;
    this.draw();
    if (!done) return;
    for (const one of this.sources) {
      const start = Math.max(from, one.at) - one.at + one.start;
      const end = Math.min(to, one.at + this._length(one)) - one.at + one.start;
      if (end > start) this.told.onMark(one, start, end);
    }
  }

  _pick(x) {
    const grace = (8 / this._w) * (this.view[1] - this.view[0]);
    const found = this._at(this._time(x));
    if (found === null) return;
    const [one, utc] = found;
    const hit = one.events.find((event) => utc >= event.start - grace && utc <= event.end + grace);
    if (hit) this.told.onPick(one, hit);
  }
}
