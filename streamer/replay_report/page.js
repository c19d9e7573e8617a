"use strict";
// The page: settings, alerts and labels of one camera at a time. Text from files is only ever set
// as text.

const SLIDERS = [
  { name: "alerts_per_day", label: "Alerts a day", unit: "" },
  { name: "leave_ratio", label: "An alert goes on while scores stay above", unit: "of the threshold",
    stops: [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1] },
  { name: "min_length_s", label: "Unusual for at least", unit: "s",
    stops: [0, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30] },
  { name: "merge_gap_s", label: "One alert if no more apart than", unit: "s",
    stops: [0, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 60] },
  { name: "cooldown_s", label: "Quiet after an alert for", unit: "s",
    stops: [0, 5, 10, 20, 30, 60, 120, 300, 600, 1800] },
];
const PAGE = 60;

function parsed(id) { return JSON.parse(document.getElementById(id).textContent); }

function bytes(text) { return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer; }

function plural(count, what) { return `${count} ${what}${count === 1 ? "" : "s"}`; }

function round(value) {
  if (value === 0) return "0";
  return Math.abs(value) < 0.001 ? "less than 0.001" : String(Number(value.toPrecision(2)));
}

/** An element: properties by name, `on` listeners, children that are elements or text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [type, does] of Object.entries(value)) element.addEventListener(type, does);
    } else if (name === "class") element.className = value;
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** One camera: its data, what it is set to, and the events that follow. */
class Camera {
  constructor(number) {
    const data = parsed(`camera-${number}`);
    Object.assign(this, data);
    this.settings = { ...data.chosen };
    this.stops = Object.fromEntries(SLIDERS.map(({ name, stops }) => {
      const all = name === "alerts_per_day" ? data.rates.map((one) => one.rate) : stops;
      const own = all.filter((one) => name !== "leave_ratio" || one >= data.lowest_leave);
      const values = new Set([...own, data.today[name], data.chosen[name]]);
      return [name, [...values].sort((one, other) => one - other)];
    }));
    this.sources = data.sources.map((one) => ({
      ...one,
      low: new Float32Array(bytes(one.low)),
      high: new Float32Array(bytes(one.high)),
      track: data.decides ? {
        row: new Uint32Array(bytes(one.row)), utc_s: new Float64Array(bytes(one.utc_s)),
        score: new Float64Array(bytes(one.score)), closings: one.closings,
      } : null,
      labels: [],
    }));
    this.decideAll();
  }

  rate(settings = this.settings) {
    return this.rates.find((one) => one.rate === settings.alerts_per_day);
  }

  /** The thresholds of a source; `exact`: not estimated by what drift lifted today's to. */
  levels(source, settings = this.settings) {
    const now = this.rate(settings);
    const own = source.lifts[this.rates.indexOf(now)];
    const today = this.rate(this.today);
    const times = own === null ? now.threshold / today.threshold : 1;
    const lifts = own === null ? source.lifts[this.rates.indexOf(today)] : own;
    return {
      row: [0, ...lifts.map(([row]) => row)],
      level: [now.threshold, ...lifts.map(([, level]) => level * times)],
      utc_s: [source.start, ...lifts.map(([, , utc]) => utc)],
      exact: own !== null,
    };
  }

  decide(source, settings = this.settings) {
    return decide(source.track, this.levels(source, settings), settings);
  }

  /** Events of every source, and which of them are as replayed, gained or lost. */
  decideAll() {
    const began = performance.now();
    this.exact = true;
    for (const source of this.sources) {
      source.levels = this.levels(source);
      this.exact = this.exact && source.levels.exact;
      const told = source.alerts;
      const now = this.decides ? this.decide(source) : told;
      const [before, after] = [counterparts(now, told), counterparts(told, now)];
      source.now = now;
      source.events = [
        ...now.map((one, k) => this._explained(source, one, before[k])),
        ...told.filter((_, k) => after[k] === null).map((one) => ({ ...one, state: "lost" })),
      ].sort((one, other) => one.start - other.start);
    }
    this.took_ms = performance.now() - began;
  }

  count(state) {
    return this.sources.reduce(
      (sum, one) => sum + one.events.filter((event) => event.state === state).length, 0,
    );
  }

  _explained(source, event, told) {
    if (told !== null && Math.abs(told.score - event.score) < 1e-9) {
      return { ...told, ...event, state: "kept" };
    }
    let best = null;
    for (const fact of source.facts) {
      const inside = fact[0] >= event.start - 1e-3 && fact[0] <= event.end + 1e-3;
      if (inside && (best === null || fact[1] > best[1])) best = fact;
    }
    const [, , a_day, text, parts] = best || [0, 0, null, "", {}];
    return {
      a_day, text, parts, picture: told && told.picture, ...event,
      id: told && told.id, state: told === null ? "gained" : "kept",
    };
  }
}

class Page {
  constructor() {
    this.facts = parsed("facts");
    this.cameras = new Map();
    this.shown = PAGE;
    this.sliders = new Map();
    this.timeline = new Timeline(this.get("timeline"), {
      onMark: (source, start, end) => this.mark(source, start, end, "real"),
      onPick: (source, event) => this.pick(source, event, true),
      onRead: (text) => { this.get("reading").textContent = text || "\u00a0"; },
    });
    this._header();
    this._buttons();
    this._cameras();
    this.open(0);
  }

  get(id) { return document.getElementById(id); }

  _header() {
    const cameras = this.facts.cameras;
    const alerts = cameras.reduce((sum, one) => sum + one.alerts, 0);
    const seconds = cameras.reduce((sum, one) => sum + one.footage_s, 0);
    const rates = [...new Set(cameras.map((one) => one.today.alerts_per_day))];
    const rate = rates.length === 1
      ? `at ${plural(rates[0], "alert")} a day`
      : `at ${Math.min(...rates)} to ${Math.max(...rates)} alerts a day`;
    const each = cameras.length > 1 ? ` for each of ${cameras.length} cameras` : "";
    this.get("headline").textContent = `${plural(alerts, "alert")} in ${spell(seconds)} ${rate}${each}`;
    const problems = cameras.flatMap((one) => one.problems.map((text) => `${one.name}: ${text}`));
    const box = this.get("problems");
    box.hidden = !problems.length;
    box.querySelector("summary").textContent = `${plural(problems.length, "source")} with problems`;
    box.querySelector("ul").append(
      ...problems.slice(0, 200).map((text) => make("li", { textContent: text })),
    );
  }

  _cameras() {
    const nav = this.get("cameras");
    nav.hidden = this.facts.cameras.length < 2;
    nav.append(...this.facts.cameras.map((one, k) => make("button", {
      type: "button", textContent: `${one.name} (${one.alerts})`,
      class: one.alerts ? "some" : "", title: plural(one.alerts, "alert"), on: { click: () => this.open(k) },
    })));
    this.get("spread").hidden = nav.hidden;
  }

  open(number) {
    if (!this.cameras.has(number)) {
      const camera = new Camera(number);
      this.cameras.set(number, camera);
      for (const [name, start, end] of this.facts.labels) {
        if (name !== camera.name) continue;
        for (const source of camera.sources) {
          if (start <= source.end && end >= source.start) {
            source.labels.push({ start, end, kind: "real" });
          }
        }
      }
    }
    this.number = number;
    this.camera = this.cameras.get(number);
    [...this.get("cameras").children].forEach((one, k) => {
      one.setAttribute("aria-current", String(k === number));
    });
    this._subline();
    this._sources();
    this._sliders();
    this.shown = PAGE;
    this.timeline.picked = null;
    this.timeline.load(this.camera.sources);
    this.update();
  }

  _subline() {
    const { sources, name } = this.camera;
    const last = sources[sources.length - 1];
    this.get("subline").textContent = sources.length
      ? `${name}: ${plural(sources.length, "source")}, ${spell(this.camera.footage_s)} of footage `
        + `from ${clock(sources[0].start)} to ${clock(last.end)} UTC`
      : `${name}: nothing could be replayed`;
  }

  _sources() {
    const select = this.get("source");
    select.replaceChildren(
      make("option", { value: "", textContent: "all" }),
      ...this.camera.sources.map((one, k) => make("option", {
        value: String(k),
        textContent: one.name + (one.alerts.length ? ` — ${plural(one.alerts.length, "alert")}` : ""),
      })),
    );
    select.parentElement.hidden = this.camera.sources.length < 2;
  }

  _sliders() {
    const camera = this.camera;
    this.sliders.clear();
    const rows = SLIDERS.map(({ name, label, unit }) => {
      const stops = camera.stops[name];
      const output = make("output", { htmlFor: `s-${name}` });
      const input = make("input", {
        type: "range", id: `s-${name}`, min: "0", max: String(stops.length - 1), step: "1",
        disabled: !camera.decides,
        on: {
          input: () => {
            camera.settings[name] = stops[Number(input.value)];
            this.redo();
          },
        },
      });
      const show = () => {
        const value = camera.settings[name];
        input.value = String(stops.indexOf(value));
        const text = `${value} ${unit}`.trim();
        const old = value === camera.today[name] ? "" : ` (was ${camera.today[name]})`;
        output.textContent = text + old;
        input.setAttribute("aria-valuetext", text);
      };
      this.sliders.set(name, show);
      return make("div", { class: "slider" },
        make("label", { htmlFor: `s-${name}`, textContent: label }), output, input);
    });
    this.get("sliders").replaceChildren(...rows);
  }

  /** Decide anew, at once. */
  redo() {
    this.camera.decideAll();
    this.timeline.picked = null;
    this.update();
  }

  update() {
    for (const show of this.sliders.values()) show();
    this.timeline.leave = this.camera.settings.leave_ratio;
    this._outcome();
    this._alerts();
    this._labels();
    this.get("yaml").textContent = this.yaml();
    this.get("copied").textContent = "";
    this.timeline.draw();
  }

  _outcome() {
    const camera = this.camera;
    const [kept, gained, lost] = ["kept", "gained", "lost"].map((one) => camera.count(one));
    const change = gained || lost
      ? `: ${gained} gained, ${lost} lost against the ${camera.alerts} replayed`
      : ", the ones replayed";
    this.get("outcome").textContent = plural(kept + gained, "alert") + change + ".";
    const rate = camera.rate();
    this.get("promise").textContent = `Threshold ${rate.threshold.toFixed(2)}. On normal footage: `
      + `${rate.text}.${rate.warning ? ` Mind: ${rate.warning}.` : ""}`;
    const notes = [];
    if (!camera.decides) {
      notes.push("There are too many high scores to decide on in a page: sorawatch tune does it.");
    }
    if (!camera.exact) {
      notes.push("The camera drifted for long: how far that lifted the threshold is estimated here "
        + "from what it did when replayed. sorawatch tune computes it.");
    }
    if (camera.restrained) {
      notes.push("This page decides without caps, idle cooldown, severities and thresholds of zones, "
        + "so it may show more than was told: sorawatch tune and compare know them.");
    }
    if (camera.limited) notes.push("Zones and schedule are as they were when it was replayed.");
    this.get("notes").textContent = notes.join(" ");
    const signs = [["kept", "■ "], ["gained", "▲ "], ["lost", "□ "]].filter(
      ([state]) => camera.count(state),
    );
    this.get("legend").replaceChildren(
      make("span", { class: "score", textContent: "▮ score" }),
      make("span", { class: "threshold", textContent: "— threshold, ┄ where an alert ends" }),
      ...signs.map(([state, sign]) => make("span", { class: state, textContent: sign + STATES[state] })),
      make("span", { class: "hatched", textContent: "▨ nothing seen, or not the scene" }),
    );
  }

  listed() {
    return this.camera.sources.flatMap(
      (source) => source.events.map((event) => [source, event]),
    );
  }

  _alerts() {
    const listed = this.listed();
    const cards = listed.slice(0, this.shown).map(([source, event]) => this._card(source, event));
    if (!cards.length) cards.push(make("li", { class: "none", textContent: "No alert." }));
    this.get("alerts").replaceChildren(...cards);
    const more = this.get("more");
    more.hidden = listed.length <= this.shown;
    more.textContent = `Show ${Math.min(PAGE, listed.length - this.shown)} more `
      + `of ${listed.length - this.shown}`;
  }

  _card(source, event) {
    const kind = this.kindOf(source, event);
    const when = clock(event.start);
    const times = (event.score / event.threshold).toFixed(2);
    const often = event.a_day === null || event.a_day === undefined ? ""
      : `, reached ${round(event.a_day)} times a day by normal footage`;
    const parts = Object.entries(event.parts || {}).sort((one, other) => other[1] - one[1]);
    const picture = event.picture
      ? make("img", { src: event.picture, alt: `${when}: ${event.text || "the place is framed"}`,
        loading: "lazy", decoding: "async" })
      : make("span", { class: "no-picture", textContent: event.state === "gained"
        ? "no picture: it was no alert when replayed" : "no picture in this page" });
    const button = (name, text) => make("button", {
      type: "button", textContent: text, "aria-pressed": String(kind === name),
      on: { click: () => this.toggle(source, event, name) },
    });
    const card = make("li", { class: `card ${event.state}` },
      make("button", {
        type: "button", class: "picture", "aria-label": `Show ${when} on the timeline`,
        on: { click: () => this.pick(source, event, false) },
      }, picture),
      make("div", { class: "facts" },
        make("p", {}, make("strong", { textContent: when }), " ",
          make("span", { class: "badge", textContent: STATES[event.state] })),
        make("p", { class: "why", textContent: event.text || "no explanation was kept of this one" }),
        make("div", { class: "parts" }, ...parts.slice(0, 4).map(([name, share]) => make("span", {},
          `${name} ${Math.round(share * 100)} %`, make("meter", {
            min: 0, max: 1, value: share, "aria-label": `share of ${name}`,
          })))),
        make("p", { class: "hint", textContent: `${times} × the threshold${often}; lasts `
          + `${spell(event.end - event.start)}`
          + (this.camera.sources.length > 1 ? `; ${source.name}` : "") }),
        make("div", { class: "marks", role: "group" }, button("real", "Real"), button("normal", "Normal"))));
    card.querySelector(".marks").setAttribute("aria-label", `What ${when} really was`);
    card.dataset.start = String(event.start);
    return card;
  }

  /** Move the timeline to an event; `scroll`: and the list. */
  pick(source, event, scroll) {
    this.timeline.showEvent(source, event);
    const at = this.listed().findIndex(([own, one]) => own === source && one.start === event.start);
    if (at >= this.shown) {
      this.shown = at + 1;
      this._alerts();
    }
    const cards = this.get("alerts").children;
    for (const card of cards) card.classList.remove("picked");
    if (cards[at]) cards[at].classList.add("picked");
    this.picked = at;
    const target = scroll ? cards[at] : this.get("timeline");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
  }

  step(by) {
    const listed = this.listed();
    if (!listed.length) return;
    const from = this.timeline.picked === null ? (by > 0 ? -1 : 0) : this.picked;
    this.pick(...listed[(from + by + listed.length) % listed.length], false);
  }

  // Labels.

  kindOf(source, event) {
    const label = source.labels.find((one) => one.start <= event.end && one.end >= event.start);
    return label === undefined ? null : label.kind;
  }

  toggle(source, event, kind) {
    const was = this.kindOf(source, event);
    source.labels = source.labels.filter(
      (one) => one.start > event.end || one.end < event.start,
    );
    if (was !== kind) this._put(source, event.start, Math.max(event.end, event.start + 0.2), kind);
    const card = [...this.get("alerts").children].findIndex(
      (one) => one.dataset.start === String(event.start),
    );
    this._alerts();
    this._labels();
    const again = this.get("alerts").children[card];
    if (again) again.querySelectorAll(".marks button")[kind === "real" ? 0 : 1].focus();
    this.timeline.draw();
  }

  mark(source, start, end, kind) {
    this._put(source, start, end, kind);
    this._alerts();
    this._labels();
    this.timeline.draw();
  }

  _put(source, start, end, kind) {
    source.labels.push({ start, end, kind });
    source.labels.sort((one, other) => one.start - other.start);
  }

  _labels() {
    const rows = this.camera.sources.flatMap((source) => source.labels.map((label) => make("li", {},
      make("span", { class: label.kind, textContent: `${label.kind}: ` }),
      `${clock(label.start)} for ${spell(label.end - label.start)} `,
      make("button", {
        type: "button", textContent: "Remove",
        "aria-label": `Remove ${label.kind} ${clock(label.start)}`,
        on: {
          click: () => {
            source.labels = source.labels.filter((one) => one !== label);
            this._alerts();
            this._labels();
            this.timeline.draw();
          },
        },
      }))));
    this.get("labels").replaceChildren(...rows.slice(0, 500));
    let [real, found, wrong] = [0, 0, 0];
    for (const source of this.camera.sources) {
      for (const label of source.labels) {
        const told = source.now.some((one) => one.start <= label.end && one.end >= label.start);
        if (label.kind === "real") [real, found] = [real + 1, found + Number(told)];
        else wrong += Number(told);
      }
    }
    const any = rows.length > 0;
    this.get("score").textContent = any
      ? `These settings tell ${found} of ${real} marked as real, and ${wrong} marked as normal.` : "";
    this.get("download").disabled = ![...this.cameras.values()].some(
      (camera) => camera.sources.some((one) => one.labels.some((label) => label.kind === "real")),
    );
  }

  /** The file of labels, as `sorawatch tune --labels` reads it. */
  labelsFile() {
    const lines = [];
    for (const camera of this.cameras.values()) {
      camera.sources.forEach((source, k) => {
        const shared = camera.sources.some(
          (one, at) => at !== k && one.start <= source.end && one.end >= source.start,
        );
        for (const { start, end, kind } of source.labels) {
          if (kind !== "real") continue;
          const time = (utc) => new Date(utc).toISOString();
          lines.push(JSON.stringify(shared ? {
            camera: camera.name, source: source.source,
            start_s: Math.max(0, start - source.start), end_s: end - source.start,
          } : {
            camera: camera.name, start: time(Math.floor(start * 1000)),
            end: time(Math.ceil(end * 1000)),
          }));
        }
      });
    }
    return lines.map((line) => `${line}\n`).join("");
  }

  // Settings.

  yaml() {
    const lines = ["cameras:"];
    const open = [...this.cameras.values()];
    const changed = open.filter((one) => SLIDERS.some(
      ({ name }) => one.settings[name] !== one.today[name],
    ));
    for (const { name, settings } of changed.length ? changed : [this.camera]) {
      lines.push(`  ${JSON.stringify(name)}:`, `    alerts_per_day: ${settings.alerts_per_day}`,
        "    judge:");
      for (const { name: key } of SLIDERS.slice(1)) lines.push(`      ${key}: ${settings[key]}`);
    }
    return `${lines.join("\n")}\n`;
  }

  /** Set a camera to the stops nearest to these settings. */
  _take(camera, settings) {
    for (const { name } of SLIDERS) {
      const near = (one) => Math.abs(Math.log((one + 1e-3) / (settings[name] + 1e-3)));
      camera.settings[name] = camera.stops[name].reduce(
        (best, one) => (near(one) < near(best) ? one : best),
      );
    }
    camera.decideAll();
  }

  _buttons() {
    const click = (id, does) => this.get(id).addEventListener("click", does);
    click("zoom-in", () => this.timeline.zoom(2));
    click("zoom-out", () => this.timeline.zoom(0.5));
    click("all", () => {
      this.get("source").value = "";
      this.timeline.all();
    });
    click("previous", () => this.step(-1));
    click("next", () => this.step(1));
    click("drag", () => {
      this.timeline.marking = !this.timeline.marking;
      this.get("drag").setAttribute("aria-pressed", String(this.timeline.marking));
      this.get("timeline").classList.toggle("marking", this.timeline.marking);
    });
    click("mark-view", () => {
      const seen = this.timeline.inView();
      if (seen !== null) this.mark(...seen, "real");
    });
    click("more", () => {
      this.shown += PAGE;
      this._alerts();
    });
    click("reset", () => {
      Object.assign(this.camera.settings, this.camera.today);
      this.redo();
    });
    click("spread", () => {
      const chosen = { ...this.camera.settings };
      this.facts.cameras.forEach((_, k) => {
        if (!this.cameras.has(k)) this.cameras.set(k, new Camera(k));
      });
      for (const camera of this.cameras.values()) this._take(camera, chosen);
      this.update();
    });
    click("copy", () => this._copy());
    click("download", () => {
      const link = make("a", {
        href: URL.createObjectURL(new Blob([this.labelsFile()], { type: "application/jsonl" })),
        download: "labels.jsonl",
      });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    this.get("source").addEventListener("change", (event) => {
      if (event.target.value === "") this.timeline.all();
      else this.timeline.showSource(this.camera.sources[Number(event.target.value)]);
    });
  }

  async _copy() {
    const said = this.get("copied");
    try {
      await navigator.clipboard.writeText(this.yaml());
      said.textContent = "Copied.";
    } catch {
      const text = this.get("yaml");
      text.closest("details").open = true;
      getSelection().selectAllChildren(text);
      said.textContent = "Selected below: copy it with Ctrl and C.";
    }
  }
}

const page = new Page();
