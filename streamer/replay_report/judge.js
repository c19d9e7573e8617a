"use strict";
// The judge, as alerts/judge.py has it: from scores to events. A test holds the two equal.

const LONGEST_SILENCE_S = 3.0;
const GRACE_S = 1e-6;

/**
 * The events that settings give in one source, in order of their announcement.
 *
 * track: {row, utc_s, score} arrays of the rows that can matter, and {closings}: [before which row,
 *   when, by what] what is open is closed. Between rows that do not follow one another only low
 *   ones were left out, and there was no silence.
 * levels: {row, level}: from this row on this threshold holds; the first is row 0.
 * settings: {leave_ratio, min_length_s, merge_gap_s, cooldown_s}.
 * Returns [{start, raised, end, score, peak (UTC of the highest score), threshold, ended_by}].
 */
function decide(track, levels, settings) {
  const { row, utc_s, score, closings } = track;
  const events = [];
  let incident = null;
  let newest = -Infinity;
  let restUntil = -Infinity;
  let closing = 0;
  let segment = 0;

  function finish(now, by) {
    const one = incident;
    incident = null;
    if (one === null || one.raised === null) return;
    let end = one.last;
    if (one.unusual) end = Math.min(Math.max(now, end), end + LONGEST_SILENCE_S);
    restUntil = end + settings.cooldown_s;
    events.push({
      start: one.start, raised: one.raised, end, score: one.score, peak: one.peak,
      threshold: one.threshold, ended_by: by,
    });
  }

  function follow(now, value, threshold, leave) {
    const gap = now - incident.last;
    if (incident.unusual) {
      incident.unusual = value >= leave;
    } else if (gap <= settings.merge_gap_s + GRACE_S) {
      incident.unusual = value >= threshold;
    }
    if (incident.unusual) {
      incident.last = now;
      if (value > incident.score) {
        incident.score = value;
        incident.peak = now;
      }
    } else if (incident.raised === null) {
      incident = null;
    } else if (gap >= settings.merge_gap_s - GRACE_S) {
      finish(now, "over");
    }
  }

  function close(until) {
    while (closing < closings.length && closings[closing][0] <= until) {
      const [, at, by] = closings[closing++];
      finish(at, by);
      newest = Math.max(newest, at);
    }
  }

  for (let k = 0; k < row.length; k++) {
    const now = utc_s[k];
    const value = score[k];
    close(row[k]);
    if (k > 0 && row[k] !== row[k - 1] + 1) newest = Math.max(newest, now);
    while (segment + 1 < levels.row.length && levels.row[segment + 1] <= row[k]) segment++;
    const threshold = levels.level[segment];
    if (now < newest) {
      finish(newest, "camera_lost");
      restUntil = Math.min(restUntil, now + settings.cooldown_s);
    } else if (now - newest > LONGEST_SILENCE_S) {
      finish(newest, "camera_lost");
    }
    newest = now;
    if (incident !== null) follow(now, value, threshold, threshold * settings.leave_ratio);
    if (incident === null && value >= threshold) {
      incident = {
        start: now, last: now, unusual: true, raised: null, threshold: 0, score: value, peak: now,
      };
    }
    if (incident !== null && incident.raised === null) {
      const long = now - incident.start >= settings.min_length_s - GRACE_S;
      if (long && now >= restUntil - GRACE_S) {
        incident.raised = now;
        incident.threshold = threshold;
      }
    }
  }
  close(Infinity);
  return events;
}

/** For each of `events` the first of `others` that is at its time, or null; both in order. */
function counterparts(events, others) {
  let from = 0;
  return events.map((one) => {
    while (from < others.length && others[from].end < one.start) from++;
    return from < others.length && others[from].start <= one.end ? others[from] : null;
  });
}
