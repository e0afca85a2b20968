// The timeline: a chart of rates from the last minutes to ten years, and whose bytes the shown stretch had.

import { DIMENSIONS, address, applicationPath, chip, filters, get, h, link, numbers, ofHosts, pattern, renew, trouble, visible } from './api.js';
import * as f from './format.js';

const LENGTHS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31557600 };
const PRESETS = [['5m', '5 min', '5 minutes, live'], ['1h', '1 h', '1 hour'], ['24h', '24 h', '24 hours'], ['7d', '7 d', '7 days'],
  ['30d', '30 d', '30 days'], ['1y', '1 y', '1 year'], ['all', 'All', 'everything']];
const SHORTEST_S = 300;
const MOST_ROWS = 1000;
const MUCH = 0.1;
const KEYS = 'Drag over the chart to zoom in. Keys: + and − zoom, ← and → move, Esc or 0 goes one step out, Home shows everything, N goes to now.';

// ---- The stretch that is asked for --------------------------------------------------------------------------------

// {since, until}: UTC seconds; last: how it was said, where it moves with the clock
export function readWindow(params, present, preset = '24h') {
  const since = f.readTime(params.get('since'));
  const now = present.now();
  if (since != null) {
    const until = f.readTime(params.get('until'));
    return { since, until: Math.max(until ?? now, since + 60), last: null, moves: until == null };
  }
  const last = params.get('last') || preset;
  const [, count, unit] = /^(\d{1,6})([smhdwy])$/.exec(last) || [];
  if (last === 'all') return { since: Math.min(present.record()?.start_s ?? now, now - SHORTEST_S), until: now, last, moves: true };
  if (!count) return readWindow(new URLSearchParams(), present, preset);
  const seconds = Number(count) * LENGTHS[unit];
  return { since: now - Math.max(seconds, SHORTEST_S), until: now, last, moves: true };
}

// lengths in the address: the presets' names, or other ones that say the same
function said(seconds) {
  const preset = PRESETS.find(([name]) => name !== 'all' && Math.abs(Number.parseInt(name, 10) * LENGTHS[name.at(-1)] - seconds) < seconds / 100);
  const minutes = Math.max(Math.round(seconds / 60), 5);
  return preset?.[0] ?? (minutes % 1440 ? `${minutes}m` : `${minutes / 1440}d`);
}

// whole minutes, and their number stays
function between(since, until) {
  const start = Math.round(since / 60) * 60;
  return { since: f.iso(start), until: f.iso(start + Math.round((until - since) / 60) * 60) };
}

// ---- The chart ----------------------------------------------------------------------------------------------------

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function hatch(ctx, ink, way) {
  const size = Math.round(7 * devicePixelRatio);
  const tile = new OffscreenCanvas(size, size);
  const own = tile.getContext('2d');
  own.strokeStyle = ink;
  own.lineWidth = devicePixelRatio;
  for (const shift of [-size, 0, size]) {
    own.moveTo(shift, way > 0 ? size : 0);
    own.lineTo(shift + size, way > 0 ? 0 : size);
  }
  own.stroke();
  return ctx.createPattern(tile, 'repeat');
}

class Chart {
  constructor(place, zoom) {
    this.place = place;
    this.zoom = zoom;
    this.tip = h('div', { class: 'tip', hidden: true });
    this.data = { kind: 'minute', starts: [], ends: [], rx: [], tx: [], estimated: [], seconds: [], gaps: [], stretches: [], changes: [] };
    this.range = [0, 1];
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(place);
  }

  get height() {
    return this.place.clientWidth < 600 ? 230 : 320;
  }

  resize() {
    const width = this.place.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    if (this.plot) this.plot.setSize({ width, height: this.height });
  }

  show(data, range) {
    this.data = data;
    this.range = range;
    this.top = Math.max(...data.rx.map((one, n) => (data.seconds[n] ? one / data.seconds[n] : 0)), 1);
    this.bottom = Math.max(...data.tx.map((one, n) => (data.seconds[n] ? one / data.seconds[n] : 0)), this.top / 10);
    this.draw();
  }

  draw() {
    if (!this.place.clientWidth) return;
    if (!this.plot) this.make();
    this.plot.setData([this.data.starts.length ? this.data.starts : [this.range[0]], this.data.starts.length ? this.data.rx : [0]]);
    this.point();
  }

  make() {
    this.width = this.place.clientWidth;
    const axis = { stroke: () => colour('muted'), font: '12px system-ui, sans-serif', grid: { stroke: () => colour('line'), width: 1 }, ticks: { show: false } };
    const narrow = this.width < 600;
    this.plot = new window.uPlot({
      width: this.width,
      height: this.height,
      legend: { show: false },
      padding: [10, 20, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: { x: { time: false, range: () => this.range }, y: { range: () => [-this.bottom * 1.05, this.top * 1.08] } },
      axes: [
        {
          ...axis, size: 44, gap: 6,
          splits: (u, _, low, high) => { this.marks = f.timeMarks(low, high, u.bbox.width / devicePixelRatio / (narrow ? 70 : 90)); return this.marks.map(([at]) => at); },
          values: () => this.marks.map(([, words]) => words),
        },
        {
          ...axis, size: narrow ? 70 : 82, gap: 6,
          splits: (u, _, low, high) => f.splits(low, high, u.bbox.height / devicePixelRatio / 42),
          values: (u, all) => all.map((one) => f.tick(one)),
        },
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { drawClear: [(u) => this.shade(u)], draw: [(u) => this.bars(u)], setCursor: [() => this.point()] },
    }, [[0], [0]], this.place);
    this.plot.over.append(this.tip);
    this.select(this.plot.over);
  }

  // dragging, with a mouse, a pen or a finger
  select(over) {
    let from = null;
    const at = (event) => Math.min(Math.max(event.clientX - over.getBoundingClientRect().left, 0), over.clientWidth);
    const mark = (event) => {
      const [low, high] = [from, at(event)].sort((a, b) => a - b);
      this.plot.setSelect({ left: low, width: high - low, top: 0, height: over.clientHeight }, false);
      return [low, high];
    };
    over.addEventListener('pointerdown', (event) => {
      if (event.button || !event.isPrimary) return;
      from = at(event);
      over.setPointerCapture(event.pointerId);
    });
    over.addEventListener('pointermove', (event) => { if (from != null) mark(event); });
    const end = (event) => {
      if (from == null) return;
      const [low, high] = mark(event);
      from = null;
      this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      if (event.type === 'pointerup' && high - low >= 6) this.zoom(this.plot.posToVal(low, 'x'), this.plot.posToVal(high, 'x'));
    };
    over.addEventListener('pointerup', end);
    over.addEventListener('pointercancel', end);
  }

  // from and to on the canvas; at least a pixel of it
  across(u, start, end) {
    const { left, width } = u.bbox;
    const [a, b] = [start, end].map((one) => Math.min(Math.max(u.valToPos(one, 'x', true), left), left + width));
    return [Math.round(a), Math.max(Math.round(b) - Math.round(a), 1)];
  }

  shade(u) {
    const { ctx } = u;
    const { top, height } = u.bbox;
    const strip = Math.round(5 * devicePixelRatio);
    ctx.save();
    const { data } = this;
    const paint = (start, end, fill, tall) => {
      const [x, width] = this.across(u, start, end);
      ctx.fillStyle = fill;
      if (tall === strip || width > 2 * devicePixelRatio) ctx.fillRect(x, top, width, tall);
    };
    const inks = ['estimated', 'gap', 'lossy'].map(colour);
    const patterns = inks.map((ink, n) => hatch(ctx, ink, n ? -1 : 1));
    // a thin line above tells of each; the whole height is hatched where much of a bar is estimated, and at gaps
    data.starts.forEach((start, n) => { if (data.estimated[n] > (data.rx[n] + data.tx[n]) * MUCH) paint(start, data.ends[n], patterns[0], height); });
    for (const [start, end] of data.stretches) paint(start, end, inks[0], strip);
    for (const one of data.gaps) {
      paint(one.start_s, one.end_s, patterns[one.lossy ? 2 : 1], height);
      paint(one.start_s, one.end_s, inks[one.lossy ? 2 : 1], strip);
    }
    ctx.restore();
  }

  bars(u) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const zero = Math.round(u.valToPos(0, 'y', true));
    const { starts, ends, seconds, estimated } = this.data;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    const over = hatch(ctx, colour('panel'), 1);
    const boxes = starts.map((start, n) => this.across(u, start, ends[n]));
    for (const [numbers, sign, ink] of [[this.data.rx, 1, colour('rx')], [this.data.tx, -1, colour('tx')]]) {
      for (let n = 0; n < starts.length; n += 1) {
        if (!seconds[n] || !numbers[n] || ends[n] <= this.range[0] || starts[n] >= this.range[1]) continue;
        const [x, all] = boxes[n];
        const wide = all > 4 * devicePixelRatio ? all - Math.round(devicePixelRatio) : all;
        const y = u.valToPos((sign * numbers[n]) / seconds[n], 'y', true);
        const tall = Math.max(Math.abs(zero - y), 1);
        ctx.fillStyle = ink;
        ctx.fillRect(x, sign > 0 ? zero - tall : zero, wide, tall);
        const part = estimated[n] / (this.data.rx[n] + this.data.tx[n]);
        if (part > 0) {
          ctx.fillStyle = over;
          ctx.fillRect(x, sign > 0 ? zero - tall : zero + tall * (1 - part), wide, tall * part);
        }
      }
    }
    ctx.fillStyle = colour('muted');
    ctx.fillRect(left, zero, width, Math.max(Math.round(devicePixelRatio / 2), 1));
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    for (const one of this.data.changes) {
      const x = Math.round(u.valToPos(one.at_s, 'x', true));
      if (x < left || x > left + width) continue;
      ctx.fillStyle = colour('muted');
      for (let y = top; y < top + height; y += 6 * devicePixelRatio) ctx.fillRect(x, y, Math.round(devicePixelRatio), 3 * devicePixelRatio);
      if (this.data.changes.length > 2) continue;
      const by = one.to_offset_s - one.from_offset_s;
      const words = `clock set ${by < 0 ? 'back' : 'forward'} ${f.length(Math.abs(by))}`;
      const late = x + ctx.measureText(words).width + 8 * devicePixelRatio > left + width;
      ctx.textAlign = late ? 'right' : 'left';
      ctx.fillStyle = colour('text');
      ctx.fillText(words, x + (late ? -5 : 5) * devicePixelRatio, top + height - 8 * devicePixelRatio);
    }
    ctx.restore();
  }

  // what is under the pointer, in words
  point() {
    const { left, top } = this.plot.cursor;
    const { data } = this;
    const at = left >= 0 ? this.plot.posToVal(left, 'x') : null;
    const n = at == null ? -1 : data.starts.findLastIndex((start, m) => start <= at && at < data.ends[m]);
    const gaps = n < 0 ? [] : data.gaps.filter((one) => one.start_s < data.ends[n] && one.end_s > data.starts[n]);
    this.tip.hidden = n < 0;
    if (n < 0) return;
    const line = (kind, word, number) => h('p', {}, h('i', { class: `key ${kind}` }), `${word} `,
      h('b', {}, f.rate(number / data.seconds[n])), data.kind === 'second' ? '' : ` · ${f.bytes(number)}`);
    const exactly = data.changes.length && data.ends[n] - data.starts[n] < 86400;
    this.tip.replaceChildren(
      h('p', { class: 'muted' }, f.bar(data.kind, data.starts[n], data.ends[n], exactly)),
      ...(data.seconds[n] ? [line('rx', 'received', data.rx[n]), line('tx', 'sent', data.tx[n])] : [h('p', {}, 'no record of this time')]),
      data.estimated[n] ? h('p', {}, h('i', { class: 'key estimated' }), `${f.share(data.estimated[n] / (data.rx[n] + data.tx[n]))} at an estimated time`) : '',
      ...gaps.slice(0, 3).map((one) => h('p', {}, h('i', { class: `key ${one.lossy ? 'lossy' : 'gap'}` }), gapWords(one))),
      gaps.length > 3 ? h('p', { class: 'muted' }, `and ${f.count(gaps.length - 3, 'more gap')}`) : '',
    );
    const right = left > this.plot.over.clientWidth / 2;
    this.tip.style.setProperty('left', right ? 'auto' : `${left + 14}px`);
    this.tip.style.setProperty('right', right ? `${this.plot.over.clientWidth - left + 14}px` : 'auto');
    this.tip.style.setProperty('top', `${Math.min(Math.max(top - 20, 0), 120)}px`);
  }

  // a picture of it with its title and legend
  picture(title, words, legend) {
    const own = this.plot.ctx.canvas;
    const ratio = devicePixelRatio;
    const canvas = h('canvas', { width: own.width, height: own.height + 84 * ratio });
    const ctx = canvas.getContext('2d');
    ctx.fillStyle = colour('panel');
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.drawImage(own, 0, 48 * ratio);
    ctx.fillStyle = colour('text');
    ctx.font = `600 ${15 * ratio}px system-ui, sans-serif`;
    ctx.fillText(title, 12 * ratio, 24 * ratio, canvas.width - 24 * ratio);
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.fillText(words, 12 * ratio, 42 * ratio, canvas.width - 24 * ratio);
    let x = 12 * ratio;
    const y = own.height + 68 * ratio;
    for (const [kind, word] of legend) {
      ctx.fillStyle = kind === 'rx' || kind === 'tx' ? colour(kind) : hatch(ctx, colour(kind), kind === 'estimated' ? 1 : -1);
      ctx.fillRect(x, y - 10 * ratio, 12 * ratio, 12 * ratio);
      ctx.fillStyle = colour('text');
      ctx.fillText(word, x + 18 * ratio, y);
      x += ctx.measureText(word).width + 38 * ratio;
    }
    return new Promise((done) => { canvas.toBlob(done, 'image/png'); });
  }

  close() {
    this.sizes.disconnect();
    this.plot?.destroy();
  }
}

// how far hosts have told of a stretch: in words for what is usual, and for hosts that are far behind
export function untoldWords({ count, behind, names, known_until_s: known, behind_until_s: until }, end) {
  const who = names.map(visible).join(', ') + (behind > names.length ? ` and ${behind - names.length} more` : '');
  const last = until ? `known until ${f.when(until)}` : 'not known at all';
  const late = count === 1 ? `host ${who} is ${last}` : `${behind} of ${count} hosts ${behind === 1 ? 'has' : 'have'} not told all of this stretch (${who}); ${behind === 1 ? 'it' : 'the first of them'} is ${last}`;
  return [known != null && known < end ? ` ${behind ? 'The others are' : 'All of it is'} known until ${f.when(known)}.` : '', behind ? ` ${late[0].toUpperCase()}${late.slice(1)}.` : ''];
}

function gapWords(one) {
  const where = [one.interface, one.host].filter(Boolean).map((name) => ` of ${visible(name)}`).join('');
  const note = one.note ? `: ${visible(one.note)}` : '';
  return `gap${where} of ${f.length(one.end_s - one.start_s)} (${visible(one.kind)})${note}${one.lossy ? '; bytes may be lost' : ''}`;
}

// ---- The timeline with everything around it -----------------------------------------------------------------------

export class Timeline {
  // place: of the page, whose address it changes; fixed: filters that are always there
  constructor(page, path, fixed = {}) {
    Object.assign(this, { page, path, fixed, asked: 0, preset: fixed.application ? '30d' : '24h' });
    this.presets = h('div', { class: 'presets', role: 'group', 'aria-label': 'Stretch' });
    const button = (words, label, act) => h('button', { type: 'button', 'aria-label': label, title: label, click: act }, words);
    this.backwards = button('↩', 'One step out', () => this.out());
    this.controls = h('div', { class: 'controls', role: 'group', 'aria-label': 'Zoom and move' },
      button('←', 'Earlier', () => this.move(-1)), button('→', 'Later', () => this.move(1)),
      button('+', 'Zoom in', () => this.scale(1 / 3)), button('−', 'Zoom out', () => this.scale(3)),
      this.backwards, button('Now', 'Go to now', () => this.toNow()));
    this.chips = h('div', { class: 'chips' });
    this.title = h('h2', { class: 'title' });
    this.words = h('p', { class: 'muted words' });
    this.canvas = h('div', { class: 'chart', tabindex: 0, role: 'application', 'aria-label': 'Chart of rates', 'aria-describedby': 'chart-keys chart-words' });
    this.words.id = 'chart-words';
    this.legend = h('div', { class: 'legend' });
    this.table = h('div', { class: 'scroll', hidden: true, tabindex: 0, role: 'region', 'aria-label': 'The bars as a table' });
    this.toggle = button('Show as table', null, () => this.tabulate(this.table.hidden));
    this.toggle.setAttribute('aria-expanded', 'false');
    this.save = h('details', { class: 'menu' }, h('summary', {}, 'Download'), h('div', { class: 'popup' }));
    this.error = h('div', {});
    this.frame = h('section', { class: 'card', 'aria-label': 'Timeline' },
      h('div', { class: 'tools' }, this.presets, this.controls), this.chips, this.title, this.canvas, this.legend, this.words,
      h('p', { class: 'hidden', id: 'chart-keys' }, KEYS),
      h('div', { class: 'tools foot' }, h('p', { class: 'muted keys', 'aria-hidden': 'true' }, KEYS), h('div', { class: 'controls' }, this.toggle, this.save)), this.table);
    this.parts = h('section', { class: 'parts', 'aria-label': 'Whose bytes they were' });
    this.element = h('div', {}, this.error, this.frame, this.parts);
    this.chart = new Chart(this.canvas, (since, until) => this.zoomTo(since, until));
    this.canvas.addEventListener('dblclick', () => this.out());
    this.onKey = (event) => this.key(event);
    document.addEventListener('keydown', this.onKey);
  }

  close() {
    document.removeEventListener('keydown', this.onKey);
    this.abort?.abort();
    clearTimeout(this.soon);
    this.chart.close();
  }

  restyle() {
    if (this.chart.plot) this.chart.plot.redraw(false);
  }

  // ---- Moving about ----

  key(event) {
    const here = document.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || !(here === document.body || here === this.canvas || here?.id === 'main')) return;
    const act = {
      ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1), '+': () => this.scale(1 / 3), '=': () => this.scale(1 / 3),
      '-': () => this.scale(3), Escape: () => this.out(), 0: () => this.out(), Home: () => this.go({ last: 'all' }), n: () => this.toNow(), N: () => this.toNow(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  go(window, stack) {
    const changes = { since: null, until: null, last: null, ...window };
    const before = ['since', 'until', 'last'].map((one) => this.params.get(one));
    this.page.go(link(this.path, this.params, changes), { stack: stack ?? [...(history.state?.stack || []), before].slice(-50) });
  }

  // stretches that reach the present go on with it
  place(since, until) {
    const now = this.page.present.now();
    const start = this.page.present.record()?.start_s ?? since;
    this.go(until < now - 30 ? between(since, until) : { last: since <= start ? 'all' : said(now - since) });
  }

  // a stretch that was dragged over: its whole bars
  zoomTo(since, until) {
    const { starts, ends } = this.chart.data;
    const [first, last] = [starts.findIndex((_, n) => ends[n] > since), starts.findLastIndex((one) => one < until)];
    const [low, high] = first < 0 || last < first ? [since, until] : [starts[first], ends[last]];
    const middle = (low + high) / 2;
    const half = Math.max((high - low) / 2, SHORTEST_S / 2);
    this.go(between(middle - half, middle + half));
  }

  scale(factor) {
    const { since, until } = this.window;
    const now = this.page.present.now();
    const half = Math.max(((until - since) * factor) / 2, SHORTEST_S / 2);
    const middle = (since + until) / 2;
    const start = this.page.present.record()?.start_s ?? since;
    if (factor > 1) this.place(Math.max(middle - half, Math.min(start, since)), Math.min(middle + half, now));
    else this.go(between(middle - half, middle + half));
  }

  move(way) {
    const { since, until } = this.window;
    const now = this.page.present.now();
    const start = this.page.present.record()?.start_s ?? since;
    const by = way < 0 ? -Math.min((until - since) / 3, Math.max(since - start, 0)) : Math.min((until - since) / 3, Math.max(now - until, 0));
    if (Math.abs(by) >= 1) this.place(since + by, until + by);
  }

  out() {
    const stack = [...(history.state?.stack || [])];
    if (!stack.length) {
      this.scale(3);
      return;
    }
    const [since, until, last] = stack.pop();
    this.go({ since, until, last }, stack);
  }

  toNow() {
    this.go({ last: said(this.window.until - this.window.since) });
  }

  // ---- What is shown ----

  get filters() {
    return { ...filters(this.params), ...this.fixed };
  }

  get isLive() {
    return this.window.last === '5m' && !this.ofHosts && !Object.keys(this.filters).length;
  }

  get ofHosts() {
    return Boolean(this.page.present.hosts());
  }

  update(params) {
    this.params = params;
    this.window = readWindow(params, this.page.present, this.preset);
    const presets = this.ofHosts ? PRESETS.slice(1) : PRESETS;
    renew(this.presets, this.canvas, ...presets.map(([name, words, label]) => h('a', {
      'data-id': name, href: link(this.path, params, { since: null, until: null, last: name }), title: label,
      'aria-current': this.window.last === name ? 'true' : null,
    }, words)));
    this.backwards.disabled = !history.state?.stack?.length;
    renew(this.chips, this.canvas, ...Object.entries(filters(params)).flatMap(([dimension, values]) => values.map((value) => chip(dimension, value, params,
      dimension === 'application' ? h('a', { href: link(applicationPath(value), '', ofHosts(params)), title: 'about this application' }, visible(value)) : undefined))));
    this.chart.range = [this.window.since, this.window.until];
    if (this.chart.plot) this.chart.draw();
    this.abort?.abort();
    this.element.setAttribute('aria-busy', 'true');
    // keys that are held down ask once they rest
    clearTimeout(this.soon);
    const wait = performance.now() - this.asked < 200 ? 150 : 0;
    this.soon = setTimeout(() => this.load(true), wait);
    this.asked = performance.now();
  }

  now(now, changed) {
    if (!this.window) return;
    if (this.isLive) {
      this.live();
    } else if (this.window.moves && changed && performance.now() - (this.loaded ?? 0) > Math.min(Math.max(this.width / 6, 10), 300) * 1000 - 500) {
      this.window = readWindow(this.params, this.page.present, this.preset);
      this.load(false);
    }
    if (this.failed && now.record) this.load(false);
    if (this.isLive && changed && performance.now() - (this.loaded ?? 0) > 9500) this.load(false);
  }

  async load(byHand) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const { since, until } = this.window;
    this.loaded = performance.now();
    const bars = Math.min(Math.max(Math.floor((this.canvas.clientWidth - 90) / 2.5), 60), 400);
    this.question = { since: `@${Math.floor(since)}`, until: `@${Math.ceil(until)}`, bars, ...this.filters };
    try {
      const found = await get('timeline', this.question, signal);
      this.take(found, byHand);
      this.error.replaceChildren();
      this.title.before(this.chips);
      this.frame.hidden = this.parts.hidden = false;
      this.failed = false;
      if (this.chart.width !== this.canvas.clientWidth) this.chart.draw();
      this.divide(await get('breakdown', { since: `@${found.start_s}`, until: `@${Math.min(found.end_s, Math.ceil(this.page.present.now()))}`, ...this.filters, limit: 12 }, signal));
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.failed = true;
      const live = this.isLive && error.kind === 'no-data';
      this.error.replaceChildren(trouble(error, !live && !this.ofHosts && h('p', {}, h('a', { href: '/?last=5m' }, 'Watch the present'))));
      if (!live) this.error.prepend(this.chips); // what is chosen may be what is wrong
      this.frame.hidden = !live;
      this.parts.hidden = true;
      if (live) this.live();
    } finally {
      if (!signal.aborted) this.element.removeAttribute('aria-busy');
    }
  }

  take(found, byHand) {
    f.setZone(found.timezone);
    const { edges } = found;
    this.width = edges[1] - edges[0];
    this.answer = {
      kind: found.width.kind, name: found.width.name, starts: edges.slice(0, -1), ends: edges.slice(1), rx: found.rx_bytes, tx: found.tx_bytes, seconds: found.seconds,
      estimated: found.estimated_bytes, gaps: found.gaps, more: found.more_gaps || 0, stretches: found.stretches, changes: found.clock_changes, days: found.has_days, hosts: found.hosts,
    };
    if (this.isLive) {
      this.live();
      if (byHand) this.page.say(`Live: the last five minutes`);
      return;
    }
    this.chart.show(this.answer, [found.start_s, found.end_s]);
    performance.mark('bars-drawn');
    this.describe(f.stretch(found.start_s, found.end_s), `${f.count(edges.length - 1, 'bar')} of ${found.width.name}, ${f.settings.bits ? 'bits' : 'bytes'} per second`);
    if (byHand) this.page.say(this.summary);
  }

  // bars of a second from the page's memory, and of a minute before it
  live() {
    const now = this.page.present.now();
    const { memory } = this.page.present;
    const from = memory[0]?.start_s ?? now;
    const before = this.answer || { starts: [], gaps: [], stretches: [], changes: [] };
    const n = before.starts.filter((_, m) => before.ends[m] <= from).length;
    const data = { kind: 'second', gaps: before.gaps, more: 0, stretches: before.stretches, changes: before.changes };
    const lengths = memory.map((one) => one.at_s - one.start_s);
    data.starts = [...before.starts.slice(0, n), ...memory.map((one) => one.start_s)];
    data.ends = [...(before.ends || []).slice(0, n), ...memory.map((one) => one.at_s)];
    data.rx = [...(before.rx || []).slice(0, n), ...memory.map((one, m) => one.rx * lengths[m])];
    data.tx = [...(before.tx || []).slice(0, n), ...memory.map((one, m) => one.tx * lengths[m])];
    data.seconds = [...(before.seconds || []).slice(0, n), ...lengths];
    data.estimated = [...(before.estimated || []).slice(0, n), ...memory.map(() => 0)];
    this.chart.show(data, [now - 300, now]);
    this.describe('The last five minutes', `live: bars of 1 second, ${f.settings.bits ? 'bits' : 'bytes'} per second; bars of 1 minute before that was looked at`);
  }

  describe(title, words) {
    const { data } = this.chart;
    const [rx, tx] = [data.rx, data.tx].map((all) => all.reduce((sum, one) => sum + one, 0));
    const totals = `received ${f.bytes(rx)}, sent ${f.bytes(tx)}`;
    const count = data.gaps.length + data.more;
    const lossy = data.gaps.filter((one) => one.lossy).length;
    const least = data.more && lossy === data.gaps.length ? ' or more' : '';
    const lost = lossy ? `, of which ${lossy}${least} may have lost bytes` : ', no bytes lost';
    const gaps = (count ? `; ${f.count(count, 'gap')}${lost}` : '') + (data.days ? '; some applications are known by days only, which stand where the day begins' : '');
    const [usual, late] = data.hosts ? untoldWords(data.hosts, Math.min(data.ends.at(-1), this.page.present.now())) : ['', ''];
    this.summary = `${title}: ${totals}; ${words}${gaps}.${late}${usual}`;
    this.title.textContent = title;
    this.words.replaceChildren(`${totals[0].toUpperCase()}${totals.slice(1)}; ${words}${gaps}.`, ...(late ? [h('b', {}, late)] : []), usual);
    this.kinds = [['rx', 'received'], ['tx', 'sent']];
    if (data.stretches.length || data.estimated.some((one) => one > 0)) this.kinds.push(['estimated', 'time estimated']);
    if (lossy < data.gaps.length) this.kinds.push(['gap', 'gap, nothing lost']);
    if (lossy) this.kinds.push(['lossy', 'gap, bytes may be lost']);
    const legend = this.kinds.map(([kind]) => kind).join(' ');
    if (this.legend.dataset.shown !== legend) {
      this.legend.dataset.shown = legend;
      this.legend.replaceChildren(...this.kinds.map(([kind, word]) => h('span', {}, h('i', { class: `key ${kind}` }), word)));
    }
    if (!this.isLive) this.offer();
    if (!this.table.hidden && !this.isLive) this.tabulate(true);
  }

  offer() {
    const file = (format) => h('a', { href: address('timeline', { ...this.question, format }), download: `netusage-timeline.${format}` }, format.toUpperCase());
    const png = h('button', { type: 'button', click: () => this.download() }, 'PNG');
    this.save.lastChild.replaceChildren(file('csv'), file('json'), png);
  }

  async download() {
    const blob = await this.chart.picture(`${this.page.title()}: ${this.title.textContent}`, this.words.textContent, this.kinds);
    const url = URL.createObjectURL(blob);
    h('a', { href: url, download: 'netusage-timeline.png' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  tabulate(on) {
    this.table.hidden = !on;
    this.toggle.textContent = on ? 'Hide the table' : 'Show as table';
    this.toggle.setAttribute('aria-expanded', String(on));
    if (!on) return;
    const { data } = this.chart;
    const rows = data.starts.map((start, n) => h('tr', {}, h('th', { scope: 'row' }, f.bar(data.kind, start, data.ends[n], data.changes.length)),
      ...(data.seconds[n] ? numbers(f.bytes(data.rx[n]), f.bytes(data.tx[n]), f.rate(data.rx[n] / data.seconds[n]), f.rate(data.tx[n] / data.seconds[n]), data.estimated[n] ? f.bytes(data.estimated[n]) : '') : [h('td', { colspan: 5 }, 'no record')])));
    this.table.replaceChildren(h('table', {}, h('caption', {}, this.summary),
      h('thead', {}, h('tr', {}, ...['Bar', 'Received', 'Sent', 'Received per second', 'Sent per second', 'Of it estimated'].map((one, n) => h('th', { scope: 'col', class: n ? 'n' : null }, one)))),
      h('tbody', {}, ...rows.reverse().slice(0, MOST_ROWS))));
  }

  // ---- Whose bytes they were ----

  divide(found) {
    const most = found.total.rx_bytes + found.total.tx_bytes;
    const shown = Object.entries(found.by).filter(([dimension, rows]) => rows.length && !(dimension in this.fixed));
    const told = found.by.application?.some((one) => one.value !== 'unattributed');
    const hint = told || !most ? '' : h('p', { class: 'muted' }, 'Applications were not told apart in this stretch. netusage doctor says what it takes.');
    renew(this.parts, this.canvas,
      h('h2', {}, 'Whose bytes they were'),
      h('p', { class: 'muted' }, `${f.stretch(found.start_s, found.end_s)}, in whole quarters of an hour: ${f.bytes(most)}. Choosing one of them filters the timeline.`),
      hint,
      h('div', { class: 'lists' }, ...shown.map(([dimension, rows]) => this.list(dimension, rows, found))));
  }

  list(dimension, rows, found) {
    const plural = dimension[0].toUpperCase() + dimension.slice(1) + (dimension.endsWith('s') ? '' : 's');
    const most = Math.max(...rows.map((one) => Math.abs(one.both)), 1);
    const chosen = this.params.getAll(dimension);
    const others = found.others?.[dimension];
    const all = { application: '/applications', host: '/hosts' }[dimension];
    const more = others?.count ? h('li', { class: 'muted' }, all
      ? h('a', { class: 'part', href: link(all, '', { ...ofHosts(this.params), since: f.iso(found.start_s), until: f.iso(found.end_s) }) }, h('span', { class: 'name' }, `${others.count} more`), h('span', { class: 'n' }, f.bytes(others.both)), h('span', { class: 'n' }, f.share(others.share)))
      : h('span', { class: 'part' }, h('span', { class: 'name' }, `${others.count} more`), h('span', { class: 'n' }, f.bytes(others.both)), h('span', { class: 'n' }, f.share(others.share)))) : null;
    return h('section', { class: 'card', 'aria-label': plural }, h('h3', {}, plural), h('ol', {}, ...rows.map((one) => {
      const word = dimension === 'interface' ? pattern(one.value) : one.value;
      const on = chosen.includes(word);
      const inside = [
        h('span', { class: 'name', title: visible(one.value) }, visible(one.value)), h('span', { class: 'n' }, f.bytes(one.both)), h('span', { class: 'n' }, f.share(one.share)),
        h('span', { class: 'meter' }, h('i', { class: 'rx', style: { width: `${Math.max(one.rx_bytes / most, 0) * 100}%` } }), h('i', { class: 'tx', style: { width: `${Math.max(one.tx_bytes / most, 0) * 100}%` } })),
      ];
      // what is left over is no thing that can be looked at, but for applications
      const loose = one.value === 'delivered twice' || (one.value === 'unattributed' && dimension !== 'application') || !DIMENSIONS.includes(dimension);
      if (loose) return h('li', {}, h('span', { class: 'part' }, ...inside));
      const values = on ? chosen.filter((value) => value !== word) : [...chosen, word];
      return h('li', {}, h('a', { class: 'part', 'data-id': `${dimension} ${one.value}`, href: link(this.path, this.params, { [dimension]: values }), 'aria-current': on ? 'true' : null }, ...inside));
    }), more));
  }
}
