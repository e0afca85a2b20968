// Applications, days, months and interfaces.

import { address, applicationPath, chip, get, h, link, numbers, ofHosts, pattern, renew, trouble, visible } from './api.js';
import * as f from './format.js';
import { Timeline, untoldWords } from './timeline.js';

const ROWS = 200;
const STRETCHES = [['today', 'Today'], ['7d', '7 days'], ['30d', '30 days'], ['1y', '1 year'], ['all', 'All time']];

// what all views have in common: questions that end when the view does, and errors in words
export class View {
  constructor(page) {
    this.page = page;
    this.body = h('div', {});
    this.heading = h('h1', {}, this.constructor.title);
    this.chips = h('div', { class: 'chips' });
    this.whose = h('p', { class: 'whose muted' });
    this.element = h('div', {}, this.heading, this.chips, this.whose, this.body);
    this.stop = new AbortController();
  }

  get title() {
    return this.constructor.title;
  }

  get ofHosts() {
    return Boolean(this.page.present.hosts());
  }

  // whose numbers these are: chips that can be taken away, and words, which are said when they change
  choose(params) {
    this.of = ofHosts(params);
    const hosts = this.of.host;
    renew(this.chips, this.page.main, ...hosts.map((one) => chip('host', one, params)));
    this.about = hosts.length || this.ofHosts ? this.aboutHosts(hosts) : '';
    if (this.about !== this.said && (hosts.length || this.said)) this.page.say(`${this.title}. ${this.about}`);
    this.said = this.about;
    this.known();
  }

  aboutHosts(hosts) {
    if (!hosts.length) return 'All hosts together.';
    return hosts.length === 1 ? `These are the numbers of ${visible(hosts[0])} alone.` : `These are the numbers of ${hosts.length} hosts together.`;
  }

  // the same with how far they are known before `end`
  known(hosts, end) {
    const [usual, late] = hosts ? untoldWords(hosts, Math.min(end, this.page.present.now())) : ['', ''];
    const others = this.ofHosts && !this.of.host.length ? [' ', h('a', { href: '/hosts' }, 'Choose a host'), '.'] : [];
    this.whose.replaceChildren(this.about, ...others, ...(late ? [h('b', {}, late)] : []), usual);
    this.whose.hidden = !this.about;
  }

  async fill(questions, show) {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.element.setAttribute('aria-busy', 'true');
    try {
      const found = await Promise.all(questions.map(([path, params]) => get(path, params, signal)));
      f.setZone(found[0].timezone);
      await show(...found);
    } catch (error) {
      if (error.name !== 'AbortError') this.body.replaceChildren(this.wrong(error));
    } finally {
      if (!signal.aborted) this.element.removeAttribute('aria-busy');
    }
  }

  wrong(error) {
    return trouble(error);
  }

  // a stretch that the address names: parameters of the API
  stretch(params, otherwise) {
    const last = params.get('last') || (params.get('since') ? '' : otherwise);
    const start = this.page.present.record()?.start_s;
    if (last === 'all') return { since: start == null ? 'today' : `@${start}`, until: 'now' };
    if (last) return { since: last === '1y' ? '365d' : last, until: 'now' };
    const until = f.readTime(params.get('until'));
    return { since: `@${f.readTime(params.get('since')) ?? 0}`, until: until == null ? 'now' : `@${until}` };
  }

  choices(params, otherwise) {
    const last = params.get('last') || (params.get('since') ? '' : otherwise);
    return h('div', { class: 'presets', role: 'group', 'aria-label': 'Stretch' }, STRETCHES.map(([name, words]) => h('a', {
      'data-id': name, href: link(location.pathname, params, { last: name, since: null, until: null }), 'aria-current': last === name ? 'true' : null,
    }, words)));
  }

  now() {}

  restyle() {}

  close() {
    this.stop.abort();
  }
}

export const downloads = (path, params) => h('details', { class: 'menu' }, h('summary', {}, 'Download'), h('div', { class: 'popup' },
  ['csv', 'json'].map((format) => h('a', { href: address(path, { ...params, format }), download: `netusage-${path.replace('/', '-')}.${format}` }, format.toUpperCase()))));

// ---- Tables that are sorted by a click on a heading, and narrowed by words ----------------------------------------

class Table {
  // columns: {title, cell, value?: to sort by, n?: it is a number}; words: what of a row is searched
  constructor(caption, columns, words, sorted) {
    Object.assign(this, { columns, words, sorted, down: true, most: ROWS });
    this.heads = columns.map((one, n) => h('th', { scope: 'col', class: one.n ? 'n' : null },
      one.value ? h('button', { type: 'button', click: () => this.sort(n) }, one.title, h('i', { 'aria-hidden': 'true' })) : one.title));
    this.rows = h('tbody', {});
    this.search = h('input', { type: 'search', placeholder: 'Search', 'aria-label': `Search ${caption}`, input: () => { this.most = ROWS; this.draw(); } });
    this.count = h('span', { class: 'muted', role: 'status' });
    this.more = h('button', { type: 'button', click: () => { this.most += ROWS; this.draw(); } }, 'Show more');
    this.tools = h('div', { class: 'tools' }, this.search, this.count);
    const table = h('table', {}, h('caption', { class: 'hidden' }, caption), h('thead', {}, h('tr', {}, this.heads)), this.rows);
    this.element = h('div', {}, this.tools, h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, table), this.more);
  }

  sort(n) {
    this.down = n === this.sorted ? !this.down : Boolean(this.columns[n].n);
    this.sorted = n;
    this.draw();
  }

  show(all) {
    this.all = all;
    this.draw();
  }

  draw() {
    const { value } = this.columns[this.sorted];
    const wanted = this.search.value.toLowerCase();
    const found = this.all.filter((row) => !wanted || this.words(row).toLowerCase().includes(wanted));
    const order = (a, b) => (a === b ? 0 : a == null ? -1 : b == null ? 1 : typeof a === 'string' ? a.localeCompare(b) : a - b);
    found.sort((a, b) => (this.down ? -1 : 1) * order(value(a), value(b)));
    this.heads.forEach((one, n) => (n === this.sorted ? one.setAttribute('aria-sort', this.down ? 'descending' : 'ascending') : one.removeAttribute('aria-sort')));
    renew(this.rows, this.search, ...found.slice(0, this.most).map((row) => h('tr', {}, this.columns.map((one, n) => {
      const cell = one.cell(row);
      return n ? h('td', { class: one.n ? 'n' : null }, cell) : h('th', { scope: 'row' }, cell);
    }))));
    this.count.textContent = found.length === this.all.length ? `${found.length}` : `${found.length} of ${this.all.length}`;
    this.more.hidden = found.length <= this.most;
    this.more.textContent = `Show ${Math.min(found.length - this.most, ROWS)} more`;
  }
}

const amount = (title, key) => ({ title, n: true, value: (row) => row[key], cell: (row) => f.bytes(row[key]) });
const seen = (title, key) => ({ title, n: true, value: (row) => f.parse(row[key]), cell: (row) => (row[key] ? f.when(f.parse(row[key])) : '') });

// rows of times of which there is a record: hosts may be known no further
const recorded = ({ rows, record }) => (record ? rows.filter((row) => f.parse(row.start) < record.end_s) : rows);

// ---- Hosts --------------------------------------------------------------------------------------------------------

export class Hosts extends View {
  static title = 'Hosts';

  update(params) {
    const asked = this.stretch(params, '30d');
    this.choose(params);
    this.fill([['hosts', asked]], (found) => {
      this.window = params.get('since') ? { since: params.get('since'), until: params.get('until') } : { last: { today: '24h' }[params.get('last')] || params.get('last') || '30d' };
      const delivered = this.page.present.hosts() === 'fleet';
      this.table ??= new Table('hosts', [
        { title: 'Host', value: (row) => row.host, cell: (row) => h('a', { 'data-id': row.host, class: 'long', title: visible(row.host), href: link('/', '', { host: row.host, ...this.window }), 'aria-current': this.of.host.includes(row.host) ? 'true' : null }, visible(row.host)) },
        amount('Received', 'rx_bytes'), amount('Sent', 'tx_bytes'), amount('Total', 'both'),
        { title: 'Share', n: true, value: (row) => row.share, cell: (row) => f.share(row.share) },
        seen(delivered ? 'Last delivery' : 'Merged', 'heard'), seen('Known until', 'until'),
      ], (row) => row.host, 3);
      this.table.show(found.rows);
      const tools = [this.choices(params, '30d'), h('div', { class: 'controls' }, downloads('hosts', asked))];
      const words = `${f.stretch(f.parse(found.start), f.parse(found.end))}, in whole quarters of an hour. What a host used later than “Known until” says is not in it yet.`;
      if (this.body.firstChild === this.head) {
        renew(this.head, this.table.search, ...tools);
        this.words.textContent = words;
      } else {
        this.head = h('div', { class: 'tools' }, tools);
        this.words = h('p', { class: 'muted' }, words);
        this.body.replaceChildren(this.head, this.words, h('section', { class: 'card', 'aria-label': 'Hosts' }, this.table.element));
      }
    });
  }

  aboutHosts(hosts) {
    return hosts.length ? 'All hosts are told here; those that are chosen are marked.' : '';
  }
}

// ---- Applications -------------------------------------------------------------------------------------------------

export class Applications extends View {
  static title = 'Applications';

  update(params) {
    this.choose(params);
    const isOfSome = this.of.host.length > 0;
    const asked = { ...this.stretch(params, '30d'), by: 'application', ...this.of };
    this.fill([['applications', asked], ['known', this.of]], (had, known) => {
      this.known(had.hosts, f.parse(had.end));
      const about = new Map(known.rows.map((row) => [row.application, row]));
      const rows = had.rows.map((row) => ({ ...about.get(row.application), ...row }));
      const last = params.get('last');
      const versions = { title: 'Versions', n: true, value: (row) => row.versions, cell: (row) => row.versions ?? '' };
      const wanted = this.table?.search.value ?? '';
      if (this.isOfSome !== isOfSome) this.table = this.head = undefined; // another one has other columns
      this.isOfSome = isOfSome;
      this.table ??= new Table('applications', [
        { title: 'Application', value: (row) => row.application, cell: (row) => this.name(row) },
        amount('Received', 'rx_bytes'), amount('Sent', 'tx_bytes'), amount('Total', 'both'),
        { title: 'Share', n: true, value: (row) => row.share, cell: (row) => f.share(row.share) },
        ...(isOfSome ? [] : [seen('First seen', 'first_seen'), seen('Last seen', 'last_seen')]), ...(this.ofHosts ? [] : [versions]),
      ], (row) => `${row.application} ${(row.paths || []).join(' ')}`, 3);
      this.table.search.value = wanted;
      this.last = last;
      this.table.show(rows);
      const words = `${f.stretch(f.parse(had.start), f.parse(had.end))}; ${known.rows.length} ${known.rows.length === 1 ? 'is' : 'are'} known in all.${isOfSome ? ' When they were first and last seen, and how they were told apart, is known of all hosts together only.' : ''}${had.tiers.length ? ` Told apart by: ${had.tiers.join(', then ')}.` : ''}`;
      const choices = this.choices(params, '30d');
      if (this.body.firstChild === this.head) {
        renew(this.head, this.table.search, choices, h('div', { class: 'controls' }, downloads('applications', asked)));
        this.words.textContent = words;
      } else {
        this.head = h('div', { class: 'tools' }, choices, h('div', { class: 'controls' }, downloads('applications', asked)));
        this.words = h('p', { class: 'muted' }, words);
        this.body.replaceChildren(this.head, this.words, h('section', { class: 'card', 'aria-label': 'Applications' }, this.table.element));
      }
    });
  }

  name(row) {
    return h('a', { 'data-id': row.application, class: 'long', title: visible(row.application), href: link(applicationPath(row.application), '', { ...this.of, last: STRETCHES.slice(1).some(([one]) => one === this.last) ? this.last : null }) }, visible(row.application));
  }
}

export class Application extends View {
  constructor(page, name) {
    super(page);
    this.name = name;
    this.heading.textContent = visible(name);
    this.timeline = new Timeline(page, location.pathname, { application: [name] });
    this.facts = h('section', { class: 'card', 'aria-label': 'About it' });
    this.back = h('a', { href: '/applications' }, '← All applications');
    this.element.prepend(h('p', {}, this.back));
    this.whose.remove(); // the timeline has the chips, and the facts say it
    this.chips.remove();
    this.body.append(this.facts, this.timeline.element);
  }

  get title() {
    return visible(this.name);
  }

  update(params) {
    this.timeline.update(params);
    this.of = ofHosts(params);
    this.back.href = link('/applications', '', this.of);
    const asked = this.of.host.join('\n');
    if (this.asked !== asked) this.ask();
    this.asked = asked;
  }

  async ask() {
    this.stop.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    try {
      const questions = [['known', this.of], ...(this.ofHosts ? [] : [['versions', { application: this.name }]])];
      const [known, versions] = await Promise.all(questions.map(([path, params]) => get(path, params, signal)));
      this.tell(known.rows.find((row) => row.application === this.name), versions?.rows ?? []);
    } catch (error) {
      if (error.name !== 'AbortError') this.facts.replaceChildren(h('p', { class: 'muted' }, visible(error.message)));
    }
  }

  tell(row, versions) {
    const hosts = this.of.host;
    const whose = hosts.length ? this.aboutHosts(hosts) : '';
    if (!row) {
      this.facts.replaceChildren(h('p', {}, hosts.length ? `${whose} Nothing of this application is recorded there.` : 'This is no application that was seen by itself.'));
      return;
    }
    const fact = (word, ...content) => [h('dt', {}, word), h('dd', {}, ...content)];
    const list = (word, all) => (all.length ? fact(word, all.slice(0, 12).map(visible).join(', ') + (all.length > 12 ? ` and ${all.length - 12} more` : '')) : []);
    this.facts.replaceChildren(
      whose ? h('p', { class: 'whose muted' }, `${whose} When it was first and last seen is known of all hosts together only.`) : '',
      h('dl', {}, fact('In all', h('b', {}, f.bytes(row.both)), `: received ${f.bytes(row.rx_bytes)}, sent ${f.bytes(row.tx_bytes)}`),
        row.first_seen ? [fact('First seen', f.when(f.parse(row.first_seen))), fact('Last seen', f.when(f.parse(row.last_seen)))] : [],
        list('Users', row.users), list('Units', row.units), list('Containers', row.containers), list('Paths', row.paths)),
      versions.length ? h('details', {}, h('summary', {}, `${f.count(versions.length, 'version')} of its executables`),
        h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Versions' }, h('table', {}, h('caption', { class: 'hidden' }, 'Versions'), h('thead', {}, h('tr', {}, ['Path', 'First seen', 'Last seen', 'Device', 'Inode'].map((one, n) => h('th', { scope: 'col', class: n ? 'n' : null }, one)))),
          h('tbody', {}, versions.slice(0, ROWS).map((one) => h('tr', {}, h('th', { scope: 'row' }, visible(one.path)), numbers(f.when(f.parse(one.first_seen)), f.when(f.parse(one.last_seen)), one.device, one.inode))))))) : '');
  }

  now(now, changed) {
    this.timeline.now(now, changed);
  }

  restyle() {
    this.timeline.restyle();
  }

  close() {
    super.close();
    this.timeline.close();
  }
}

// ---- Days ---------------------------------------------------------------------------------------------------------

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAY_MS = 86400000;
const LEVELS = 5;

export class Days extends View {
  static title = 'Days';

  update(params) {
    const record = this.page.present.record();
    const last = Number(f.year(record?.end_s ?? this.page.present.now()));
    const first = record ? Number(f.year(record.start_s)) : last;
    const year = Math.min(Math.max(Number(params.get('year')) || last, first), last);
    this.choose(params);
    const asked = { since: `${year}-01-01`, until: year === last ? 'now' : `${year}-12-31`, ...this.of };
    this.years = () => h('nav', { class: 'presets', 'aria-label': 'Year' }, Array.from({ length: last - first + 1 }, (_, n) => first + n).map((one) => h('a', { 'data-id': one, href: link('/days', '', { ...this.of, year: one }), 'aria-current': one === year ? 'page' : null }, one)));
    this.fill([['report/day', asked]], (found) => {
      this.known(found.hosts, f.parse(found.end));
      const days = new Map(recorded(found).map((row) => [row.start.slice(0, 10), row]));
      renew(this.body, this.page.main,
        h('div', { class: 'tools' }, this.years(), h('div', { class: 'controls' }, downloads('report/day', asked))),
        h('section', { class: 'card', 'aria-label': `Days of ${year}` }, this.calendar(year, days)));
      const here = this.body.querySelector('[data-today]');
      here?.scrollIntoView({ inline: 'center', block: 'nearest' });
    });
  }

  // of another year there may be something
  wrong(error) {
    return this.of.host.length ? h('div', {}, h('div', { class: 'tools' }, this.years()), trouble(error)) : trouble(error);
  }

  calendar(year, days) {
    const sizes = [...days.values()].map((row) => row.rx_bytes + row.tx_bytes).filter((one) => one > 0).sort((a, b) => a - b);
    // equal steps of round size up to what nearly all days stay below, so that one huge day does not make all others pale
    const by = f.roundUp((sizes[Math.floor(sizes.length * 0.95)] ?? 1) / LEVELS);
    const steps = Array.from({ length: LEVELS - 1 }, (_, n) => by * (n + 1));
    const level = (size) => (size > 0 ? 1 + steps.filter((one) => size > one).length : 0);
    const start = Date.UTC(year, 0, 1);
    const lead = (new Date(start).getUTCDay() + 6) % 7;
    const count = (Date.UTC(year + 1, 0, 1) - start) / DAY_MS;
    const today = f.asUtc(this.page.present.now()).toISOString().slice(0, 10);
    const weeks = Math.ceil((lead + count) / 7);
    const cell = (n) => {
      const at = n - lead;
      if (at < 0 || at >= count) return h('td', {});
      const date = new Date(start + at * DAY_MS);
      const name = date.toISOString().slice(0, 10);
      const row = days.get(name);
      const words = `${WEEKDAYS[n % 7]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${year}`;
      if (!row) return h('td', { class: 'none', title: `${words}: no record` });
      const size = row.rx_bytes + row.tx_bytes;
      const next = new Date(date.getTime() + DAY_MS).toISOString().slice(0, 10);
      const label = `${words}: ${f.bytes(size)}, received ${f.bytes(row.rx_bytes)}, sent ${f.bytes(row.tx_bytes)}`;
      return h('td', {}, h('a', { class: `l${level(size)}`, 'data-id': name, 'data-today': name === today, tabindex: -1, title: label, 'aria-label': label, href: link('/', '', { ...this.of, since: name, until: next }) }));
    };
    const heads = Array.from({ length: weeks }, (_, week) => {
      const first = new Date(start + (week * 7 - lead + 6) * DAY_MS);
      return h('th', { scope: 'col' }, first.getUTCDate() <= 7 && first.getUTCFullYear() === year ? MONTHS[first.getUTCMonth()] : '');
    });
    const table = h('table', { class: 'calendar', role: 'grid', keydown: (event) => this.walk(event) },
      h('caption', { class: 'hidden' }, `Bytes of each day of ${year}. Arrow keys go from day to day, Enter shows one.`),
      h('thead', {}, h('tr', {}, h('td', {}), heads)),
      h('tbody', {}, WEEKDAYS.map((name, weekday) => h('tr', {}, h('th', { scope: 'row' }, name), Array.from({ length: weeks }, (_, week) => cell(week * 7 + weekday))))));
    this.cells = [...table.querySelectorAll('a')].sort((a, b) => (a.dataset.id < b.dataset.id ? -1 : 1));
    const entry = table.querySelector('[data-today]') || this.cells.at(-1);
    if (entry) entry.tabIndex = 0;
    const busiest = [...days.entries()].sort(([, a], [, b]) => b.rx_bytes + b.tx_bytes - a.rx_bytes - a.tx_bytes)[0];
    const legend = h('p', { class: 'legend' }, h('span', {}, h('i', { class: 'key none' }), 'no record'), h('span', {}, h('i', { class: 'key l0' }), '0 B'),
      steps.map((one, n) => h('span', {}, h('i', { class: `key l${n + 1}` }), `up to ${f.short(f.bytes(one))}`)),
      h('span', {}, h('i', { class: `key l${steps.length + 1}` }), 'more'));
    return [h('div', { class: 'scroll' }, table), legend, busiest ? h('p', { class: 'muted' }, `The busiest day was ${f.weekday(f.parse(busiest[1].start))} with ${f.bytes(busiest[1].rx_bytes + busiest[1].tx_bytes)}.`) : ''].flat();
  }

  walk(event) {
    const n = this.cells.indexOf(document.activeElement);
    const by = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7, Home: -n, End: this.cells.length - 1 - n }[event.key];
    if (n < 0 || by == null) return;
    event.preventDefault();
    const to = this.cells[Math.min(Math.max(n + by, 0), this.cells.length - 1)];
    for (const one of this.cells) one.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}

// ---- Months -------------------------------------------------------------------------------------------------------

export class Months extends View {
  static title = 'Months';

  update(params) {
    this.choose(params);
    const start = this.page.present.record()?.start_s;
    const asked = { since: start == null ? 'today' : `@${start}`, until: 'now', peak: 1, ...this.of };
    this.fill([['report/month', asked], ['report/total', asked]], (found, total) => {
      this.known(found.hosts, f.parse(found.end));
      this.record = found.record ?? this.page.present.record();
      const months = recorded(found);
      const most = Math.max(...months.map((row) => row.rx_bytes + row.tx_bytes), 1);
      const all = total.rows.find((row) => row.interface == null) || total.rows[0];
      const titles = ['Month', 'Received', 'Sent', 'Total', '', 'Each day', 'Peak received', 'Peak sent'];
      const rows = months.toReversed().map((row) => h('tr', {}, h('th', { scope: 'row', class: 'month' }, h('a', { href: link('/', '', { ...this.of, since: f.iso(f.parse(row.start)), until: f.iso(f.parse(row.end)) }) }, f.month(f.parse(row.start)))),
        this.sums(row), h('td', { class: 'wide' }, h('span', { class: 'meter' }, ['rx', 'tx'].map((way) => h('i', { class: way, style: { width: `${(row[`${way}_bytes`] / most) * 100}%` } })))),
        numbers(f.bytes(this.daily(row))), this.peaks(row)));
      this.body.replaceChildren(
        h('div', { class: 'tools' }, h('p', { class: 'muted' }, `${f.count(months.length, 'month')}${months.length > 1 ? ', the newest first' : ''}. A peak is the highest rate ${this.ofHosts ? 'of one host’s interface ' : ''}between two readings, where it is still known.`), h('div', { class: 'controls' }, downloads('report/month', asked))),
        h('section', { class: 'card', 'aria-label': 'Months' }, h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Months' }, h('table', {}, h('caption', { class: 'hidden' }, 'Usage by month'),
          h('thead', {}, h('tr', {}, titles.map((one, n) => (n === 4 ? h('td', {}) : h('th', { scope: 'col', class: n ? 'n' : null }, one))))),
          h('tbody', {}, rows), h('tfoot', {}, h('tr', {}, h('th', { scope: 'row' }, 'All'), this.sums(all), h('td', {}), numbers(f.bytes(this.daily(all))), this.peaks(all)))))));
    });
  }

  sums(row) {
    return numbers(f.bytes(row.rx_bytes), f.bytes(row.tx_bytes), h('b', {}, f.bytes(row.rx_bytes + row.tx_bytes)));
  }

  peaks(row) {
    return ['rx', 'tx'].map((way) => {
      const peak = row[`peak_${way}_bytes_per_second`];
      const at = row[`peak_${way}_at`];
      return h('td', { class: 'n', title: peak == null ? null : `${f.when(f.parse(at))}, ${['interface', 'host'].map((key) => visible(row[`peak_${way}_${key}`] || '')).filter(Boolean).join(' of ')}` }, peak == null ? '' : f.rate(peak), peak == null ? '' : h('small', { class: 'muted' }, ` ${f.shortDay(f.parse(at))}`));
    });
  }

  // of the days that are over or have begun, and are within the record
  daily(row) {
    const end = Math.min(f.parse(row.end), this.record?.end_s ?? Infinity);
    const start = Math.max(f.parse(row.start), this.record?.start_s ?? 0);
    return (row.rx_bytes + row.tx_bytes) / Math.max((end - start) / 86400, 1);
  }
}

// ---- Interfaces ---------------------------------------------------------------------------------------------------

export class Interfaces extends View {
  static title = 'Interfaces';

  update(params) {
    const asked = this.stretch(params, 'today');
    this.choose(params);
    this.fill([['interfaces', this.of]], async (found) => {
      if (!found.rows.length) {
        this.body.replaceChildren(trouble({ kind: 'no-data', message: 'No interface has been seen yet', hint: 'start recording with: netusage daemon' }));
        return;
      }
      if (this.ofHosts) {
        this.known(found.hosts, this.page.present.now());
        this.all(found);
        return;
      }
      const busy = found.rows.toSorted((a, b) => b.counted - a.counted || b.rx_bytes + b.tx_bytes - a.rx_bytes - a.tx_bytes);
      this.chosen = params.get('interface') || busy[0]?.interface;
      this.params = params;
      this.table ??= new Table('interfaces', this.columns, (row) => `${row.interface} ${row.kind} ${row.state} ${row.reason}`, 5);
      this.table.show(found.rows);
      if (!this.table.element.isConnected) {
        this.account = h('section', { class: 'card', 'aria-label': 'Account' });
        this.body.replaceChildren(this.account, h('section', { class: 'card', 'aria-label': 'Interfaces' }, h('div', { class: 'tools' }, h('h2', {}, 'All interfaces'), h('div', { class: 'controls' }, downloads('interfaces', {}))), this.table.element));
      }
      await this.reconcile(params, asked);
    });
  }

  get columns() {
    return [
      { title: 'Interface', value: (row) => row.interface, cell: (row) => this.name(row) },
      { title: 'State', value: (row) => row.state, cell: (row) => row.state },
      { title: 'In the total', value: (row) => (row.counted ? 1 : 0), cell: (row) => h('span', { class: 'why', title: visible(row.reason) }, h('b', {}, row.counted ? 'yes' : 'no'), `: ${visible(row.reason)}`) },
      amount('Received', 'rx_bytes'), amount('Sent', 'tx_bytes'),
      { title: 'Total', n: true, value: (row) => row.rx_bytes + row.tx_bytes, cell: (row) => f.bytes(row.rx_bytes + row.tx_bytes) },
      seen('First seen', 'first_seen'), seen('Last seen', 'last_seen'),
    ];
  }

  // of several hosts: each leads to its timeline
  all(found) {
    this.table ??= new Table('interfaces', [{ title: 'Host', value: (row) => row.host, cell: (row) => visible(row.host) }, ...this.columns], (row) => `${row.host} ${row.interface} ${row.kind} ${row.state} ${row.reason}`, 6);
    this.table.show(found.rows);
    this.files ??= h('div', { class: 'controls' });
    if (!this.table.element.isConnected) this.body.replaceChildren(h('section', { class: 'card', 'aria-label': 'Interfaces' }, h('div', { class: 'tools' }, h('h2', {}, 'All interfaces'), this.files), this.table.element));
    renew(this.files, this.table.search, downloads('interfaces', this.of));
  }

  name(row) {
    if (this.ofHosts) return h('a', { class: 'long', 'data-id': `${row.host} ${row.interface}`, title: visible(row.interface), href: link('/', '', { host: row.host, interface: pattern(row.interface), last: '30d' }) }, visible(row.interface), row.kind && h('small', { class: 'muted' }, ` ${visible(row.kind)}`));
    return h('a', { class: 'long', 'data-id': row.interface, title: visible(row.interface), href: link('/interfaces', this.params, { interface: row.interface }), 'aria-current': row.interface === this.chosen ? 'true' : null }, visible(row.interface), row.kind && h('small', { class: 'muted' }, ` ${visible(row.kind)}`));
  }

  async reconcile(params, stretch) {
    const asked = { ...stretch, interface: pattern(this.chosen) };
    const head = [
      h('h2', {}, `Whose bytes ${visible(this.chosen)} had`),
      h('div', { class: 'tools' }, this.choices(params, 'today'), h('div', { class: 'controls' }, h('a', { class: 'button', href: link('/', '', { interface: asked.interface, last: '24h' }) }, 'Timeline'), downloads('reconcile', asked))),
    ];
    try {
      const found = await get('reconcile', asked, this.stop.signal);
      renew(this.account, this.table.search, ...head, this.sum(found));
    } catch (error) {
      if (error.name !== 'AbortError') renew(this.account, this.table.search, ...head, trouble(error));
    }
  }

  // as on paper: the lines, a rule, and what the interface itself counted
  sum(found) {
    const lines = found.rows.filter((row) => row.line !== 'interface');
    const whole = found.rows.find((row) => row.line === 'interface');
    const cells = (row) => numbers(f.exact(row.rx_bytes), f.exact(row.tx_bytes), f.exact(row.both));
    return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Account' }, h('table', { class: 'sum' },
      h('caption', {}, `${f.stretch(f.parse(found.start), f.parse(found.end))}, bytes. The lines add up to what the interface counted, to the byte.`),
      h('thead', {}, h('tr', {}, ['What had them', 'Received', 'Sent', 'Total', 'Share'].map((one, n) => h('th', { scope: 'col', class: n ? 'n' : null }, one)))),
      h('tbody', {}, lines.map((row) => h('tr', {}, h('th', { scope: 'row' }, visible(row.line), row.note && h('small', { class: 'muted note' }, visible(row.note))), cells(row), numbers(f.share(row.share))))),
      whole ? h('tfoot', {}, h('tr', {}, h('th', { scope: 'row' }, 'What the interface counted'), cells(whole), numbers('100 %'))) : ''));
  }
}
