// Data plans: what is used and left of each in its cycle, what will be, and the cycles before.

import { get, h, numbers, sentence, trouble, visible } from './api.js';
import * as f from './format.js';
import { View, downloads } from './views.js';

const PAST = 12;
const WIDTH = 600;
const HEIGHT = 150;
const METHODS = { 'weekday hours': 'by the same weekdays’ hours of the last four weeks', linear: 'linear, as less than two weeks are recorded' };
const DIRECTIONS = { both: 'received and sent', rx: 'received', tx: 'sent' };

// rounded down: what is not reached is not shown as reached
const percent = (part) => `${Math.floor(part * 1000) / 10} %`;
const days = (row) => f.stretch(f.parse(row.start), f.parse(row.end));

export class Plans extends View {
  static title = 'Plans';

  update(params) {
    this.choose(params);
    this.fill([['plans', {}]], (found) => {
      this.body.replaceChildren(
        h('div', { class: 'tools' }, h('p', { class: 'muted' }, 'What a provider counts may differ a little: it counts elsewhere.'), h('div', { class: 'controls' }, downloads('plans', {}))),
        ...found.missing.map((one) => h('section', { class: 'card', 'aria-label': `Plan ${visible(one.name)}` }, h('h2', {}, visible(one.name)), h('p', {}, sentence(one.reason)))),
        h('div', { class: 'plans' }, found.rows.map((row) => this.card(row))));
    });
  }

  aboutHosts(hosts) {
    return hosts.length ? 'Plans are about all hosts, or those that they name: which are chosen changes nothing here.' : '';
  }

  // the server reads the configuration when it starts
  wrong(error) {
    return error.hint.includes('plan add') ? trouble(error, h('p', { class: 'muted' }, 'Then start netusage web anew.')) : trouble(error);
  }

  card(row) {
    const state = row.left_bytes <= 0 ? 'off' : row.reached.length ? 'late' : 'on';
    const name = visible(row.plan);
    const words = `${percent(row.share)} of ${f.bytes(row.limit_bytes)} used; ${percent(row.elapsed_share)} of the time is over`;
    return h('section', { class: 'card plan', 'aria-label': `Plan ${name}`, 'data-state': state },
      h('h2', {}, name),
      h('p', { class: 'muted' }, `${days(row)}, ${DIRECTIONS[row.direction]}`),
      h('p', { class: 'big' }, h('b', {}, f.bytes(row.used_bytes)), ` of ${f.bytes(row.limit_bytes)}`, h('span', { class: 'n' }, percent(row.share))),
      h('div', { class: 'gauge', role: 'meter', 'aria-label': `Used of ${name}`, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.min(Math.floor(row.share * 100), 100), 'aria-valuetext': words },
        h('i', { style: { width: `${Math.min(row.share, 1) * 100}%` } }),
        h('u', { title: 'where the cycle stands', style: { left: `${row.elapsed_share * 100}%` } })),
      h('dl', {}, this.facts(row)),
      this.chart(row),
      this.past(row));
  }

  facts(row) {
    const fact = (word, ...content) => [h('dt', {}, word), h('dd', {}, ...content)];
    const since = (iso) => f.when(f.parse(iso));
    const terms = [[' − ', 'free_bytes', 'in free hours'], [' − ', 'lan_bytes', 'in the local network'], [' − ', 'zero_rated_bytes', 'zero-rated'], [' + ', 'already_used_bytes', 'used before']]
      .filter(([, key]) => row[key]).map(([sign, key, words]) => `${sign}${f.bytes(row[key])} ${words}`);
    return [
      fact('Left', h('b', {}, row.left_bytes >= 0 ? f.bytes(row.left_bytes) : `nothing, ${f.bytes(-row.left_bytes)} too much`), row.rolled_over_bytes ? `; ${f.bytes(row.rolled_over_bytes)} were left of earlier cycles` : ''),
      row.allowance_bytes == null ? [] : fact('A day', h('b', {}, f.bytes(row.allowance_bytes)), row.days_left === 1 ? ' today' : ` on each of ${row.days_left} days, today included`),
      fact('Pace', `${f.bytes(Math.abs(row.pace_bytes))} ${row.pace_bytes >= 0 ? 'more' : 'less'} than evenly by now`),
      row.forecast_bytes == null ? [] : fact('Forecast', h('b', {}, f.bytes(row.forecast_bytes)), ' by the end',
        row.forecast_low_bytes == null ? '' : `, in four of five cases ${f.bytes(row.forecast_low_bytes)} to ${f.bytes(row.forecast_high_bytes)}`, h('small', {}, ` ${METHODS[row.forecast_method]}`)),
      row.forecast_bytes == null ? [] : fact('Used up', this.exhausted(row, since)),
      terms.length ? fact('Counted', f.bytes(row.counted_bytes), terms.join('')) : [],
      row.unknown_bytes ? fact('Not known', `whose ${f.bytes(row.unknown_bytes)} were; they count as used`) : [],
      row.estimated_bytes ? fact('Estimated', `the time of ${f.bytes(row.estimated_bytes)}; some of them may belong elsewhere`) : [],
      row.days_are_split ? fact('By day', 'what is left out is known by UTC days, and split over these; the sum is exact') : [],
      f.parse(row.record_start) > f.parse(row.start) ? fact('Recorded', `from ${since(row.record_start)} on`) : [],
    ];
  }

  exhausted(row, since) {
    if (row.exhausted == null) return row.exhausted_earliest == null ? 'not in this cycle' : `probably not in this cycle, ${since(row.exhausted_earliest)} at the earliest`;
    if (row.left_bytes <= 0) return `since ${since(row.exhausted)}`;
    if (row.exhausted_earliest == null) return since(row.exhausted);
    const range = row.exhausted_latest == null ? `${since(row.exhausted_earliest)} at the earliest, and perhaps not in this cycle` : `in four of five cases ${since(row.exhausted_earliest)} to ${since(row.exhausted_latest)}`;
    return [h('b', {}, since(row.exhausted)), `, ${range}`];
  }

  // what was used by the end of each day, as an area; what will be, as a band around a line; what may be, as a line
  chart(row) {
    const [start, end] = [f.parse(row.start), f.parse(row.end)];
    const now = Math.min(f.parse(row.start) + row.elapsed_share * (end - start), end);
    const top = Math.max(row.limit_bytes, row.used_bytes, row.forecast_high_bytes ?? row.forecast_bytes ?? 0) * 1.05;
    const x = (at) => (((at - start) / (end - start)) * WIDTH).toFixed(1);
    const y = (size) => (HEIGHT - (size / top) * HEIGHT).toFixed(1);
    const ends = row.days.map((one, n) => [n + 1 < row.days.length ? f.parse(row.days[n + 1].start) : now, one.used_bytes]);
    const past = [[start, row.already_used_bytes], ...ends];
    const line = (points) => points.map(([at, size]) => `${x(at)} ${y(size)}`).join('L');
    const ahead = [[now, row.used_bytes, row.used_bytes, row.used_bytes], ...row.ahead.map((one) => [f.parse(one.end), one.used_bytes, one.low_bytes ?? one.used_bytes, one.high_bytes ?? one.used_bytes])];
    const band = [...ahead.map(([at, , , high]) => [at, high]), ...ahead.map(([at, , low]) => [at, low]).reverse()];
    const words = `Used by day: ${f.bytes(row.used_bytes)} until now${row.forecast_bytes == null ? '' : `, ${f.bytes(row.forecast_bytes)} expected by the end`}; ${f.bytes(row.limit_bytes)} may be used.`;
    const svg = (tag, props) => {
      const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
      for (const [key, value] of Object.entries(props)) made.setAttribute(key, value);
      return made;
    };
    const picture = svg('svg', { class: 'usage', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words });
    if (row.ahead.length) picture.append(svg('path', { class: 'band', d: `M${line(band)}Z` }), svg('path', { class: 'expected', d: `M${line(ahead)}` }));
    picture.append(svg('path', { class: 'used', d: `M${line(past)}L${x(now)} ${HEIGHT}L0 ${HEIGHT}Z` }), svg('path', { class: 'limit', d: `M0 ${y(row.limit_bytes)}H${WIDTH}` }));
    return h('div', {}, picture,
      h('p', { class: 'ends muted' }, h('span', {}, f.shortDay(start)), h('span', {}, f.shortDay(end - 3600))),
      h('p', { class: 'legend' }, h('span', {}, h('i', { class: 'key used' }), 'used'), row.ahead.length ? [h('span', {}, h('i', { class: 'key expected' }), 'expected'), h('span', {}, h('i', { class: 'key band' }), 'range')] : '',
        h('span', {}, h('i', { class: 'key limit' }), f.bytes(row.limit_bytes))));
  }

  // earlier cycles, when somebody opens them
  past(row) {
    const place = h('div', {});
    const show = async (event) => {
      if (!event.target.open || place.hasChildNodes()) return;
      try {
        const found = await get('plans', { plan: row.plan, cycle: -1, cycles: PAST }, this.stop.signal);
        place.replaceChildren(h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Earlier cycles of ${visible(row.plan)}` }, h('table', {}, h('caption', { class: 'hidden' }, 'Earlier cycles'),
          h('thead', {}, h('tr', {}, ['Cycle', 'Used', 'May be used', 'Share'].map((one, n) => h('th', { scope: 'col', class: n ? 'n' : null }, one)))),
          h('tbody', {}, found.rows.map((one) => h('tr', {}, h('th', { scope: 'row' }, days(one)), numbers(f.bytes(one.used_bytes), f.bytes(one.limit_bytes), percent(one.share))))))));
      } catch (error) {
        if (error.name !== 'AbortError') place.replaceChildren(h('p', { class: 'muted' }, visible(error.message)));
      }
    };
    if (f.parse(row.start) <= (this.page.present.record()?.start_s ?? 0)) return '';
    return h('details', { toggle: show }, h('summary', {}, 'Earlier cycles'), place);
  }
}
