// The page: which view is shown, what is happening now, what happened while nobody looked, and the settings.

import { Present, applicationPath, get, h, link, ofHosts, sentence, visible } from './api.js';
import * as f from './format.js';
import { Plans } from './plans.js';
import { Timeline } from './timeline.js';
import { Application, Applications, Days, Hosts, Interfaces, Months } from './views.js';

const AWAY_S = 3600;
const VISITED = 'netusage.visited';
const at = (id) => document.getElementById(id);
const put = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };

// ---- Views --------------------------------------------------------------------------------------------------------

class Home {
  constructor(page) {
    this.title = 'Timeline';
    this.timeline = new Timeline(page, '/');
    this.element = h('div', {}, h('h1', { class: 'hidden' }, 'Timeline'), this.timeline.element);
  }

  update(params) { this.timeline.update(params); }

  now(now, changed) { this.timeline.now(now, changed); }

  restyle() { this.timeline.restyle(); }

  close() { this.timeline.close(); }
}

const VIEWS = { '/': Home, '/hosts': Hosts, '/applications': Applications, '/days': Days, '/months': Months, '/interfaces': Interfaces, '/plans': Plans };

function make(page, path) {
  const name = /^\/applications\/(.+)$/.exec(path)?.[1];
  if (name) return new Application(page, decodeURIComponent(name));
  return new (VIEWS[path] || Home)(page);
}

class Page {
  constructor() {
    this.main = at('main');
    let clock = null; // how far the server's clock is ahead of this one, seconds
    let change = null;
    const stream = new Present((now) => {
      clock = now.at_s - Date.now() / 1000;
      f.setZone(now.timezone);
      if (now.hosts) showHosts(now);
      else showNow(now, stream.memory);
      const changed = now.hosts ? !now.trouble : change !== now.change;
      change = now.change;
      this.view?.now(now, changed);
    }, () => showBroken());
    this.present = {
      now: () => Date.now() / 1000 + (clock ?? 0),
      record: () => stream.last?.record ?? null,
      hosts: () => stream.last?.hosts ?? null,
      get memory() { return stream.memory; },
    };
    this.stream = stream;
  }

  async start() {
    document.addEventListener('click', (event) => this.click(event));
    window.addEventListener('popstate', () => this.route());
    document.addEventListener('theme', () => this.view?.restyle());
    settingsMenu(this);
    // the zone, the clock and how far the record goes; views begin with it
    const now = await get('now').catch((error) => { if (error.name !== 'AbortError') showBroken(); return null; });
    if (now) this.stream.take(now);
    this.route();
    if (!now?.hosts) await this.stream.remember();
    this.stream.follow();
    if (now?.recorder) away(now.at_s);
  }

  title() {
    return `${at('host').textContent || 'netusage'}, ${this.view.title}`;
  }

  say(words) {
    put('said', words);
  }

  go(url, { stack } = {}) {
    history.pushState({ stack: stack ?? history.state?.stack ?? [] }, '', url);
    this.route();
  }

  route() {
    const path = location.pathname;
    const params = new URLSearchParams(location.search);
    if (path !== this.path) {
      const first = this.path === undefined;
      this.path = path;
      this.view?.close();
      this.view = make(this, path);
      this.main.replaceChildren(this.view.element);
      document.title = path === '/' ? 'netusage' : `${this.view.title} – netusage`;
      for (const one of document.querySelectorAll('header nav a')) {
        const own = one.pathname;
        const here = path === own || (own !== '/' && path.startsWith(`${own}/`));
        if (here) one.setAttribute('aria-current', 'page');
        else one.removeAttribute('aria-current');
      }
      if (!first) {
        window.scrollTo(0, 0);
        this.main.focus({ preventScroll: true });
        this.say(this.view.title);
      }
    }
    for (const one of document.querySelectorAll('header nav a')) one.href = link(one.pathname, '', ofHosts(params));
    this.view.update(params);
  }

  click(event) {
    for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false;
    const target = event.target.closest?.('a[href]');
    if (!target || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const url = new URL(target.href);
    const ours = url.origin === location.origin && (url.pathname in VIEWS || url.pathname.startsWith('/applications/'));
    if (!ours || target.hasAttribute('download') || target.target || url.hash) return;
    event.preventDefault();
    this.go(url.pathname + url.search, url.pathname === location.pathname ? {} : { stack: [] });
  }

  again() {
    this.view.update(new URLSearchParams(location.search));
    if (this.stream.last) this.stream.tell(this.stream.last);
  }
}

// ---- Now ----------------------------------------------------------------------------------------------------------

function showNow(now, memory) {
  put('host', visible(now.hostname || ''));
  put('now-rx', now.rates ? f.rate(now.rates.rx_bytes_per_second) : '–');
  put('now-tx', now.rates ? f.rate(now.rates.tx_bytes_per_second) : '–');
  showSums(now, 'nothing recorded');
  const [state, words, more] = health(now);
  at('now-health').dataset.state = state;
  put('now-state', words);
  put('now-more', more);
  spark(now.at_s, memory);
}

function showSums(now, otherwise) {
  for (const period of ['today', 'month']) {
    const sum = now[period];
    put(`now-${period}`, sum ? f.bytes(sum.rx_bytes + sum.tx_bytes) : '–');
    put(`now-${period}-rx`, sum ? `received ${f.bytes(sum.rx_bytes)}` : otherwise);
    put(`now-${period}-tx`, sum ? `sent ${f.bytes(sum.tx_bytes)}` : '');
  }
}

function health(now) {
  const found = now.recorder;
  const unread = now.rates || !now.trouble ? '' : ` Rates cannot be read: ${visible(now.trouble)}.`;
  if (!found) return ['off', 'nothing is recorded yet', sentence(now.ledger_trouble || 'start recording with: netusage daemon') + unread];
  const tiers = {
    kernel: 'applications: counted in the kernel', 'kernel before queueing': 'applications: counted in the kernel, before queueing',
    sockets: 'applications: from sockets; netusage doctor says how to know more',
  };
  const tier = tiers[found.tier] || 'applications are not told apart; netusage doctor says how';
  const commit = f.parse(found.last_commit);
  if (!found.running) return ['off', 'no recorder is running', `${commit ? `The last one wrote at ${f.when(commit)}. ` : ''}Start one with: netusage daemon.${unread}`];
  const ago = commit == null ? null : Math.max(now.at_s - commit, 0);
  const late = ago != null && ago > 60;
  const failed = found.failed_commits ? `; ${f.count(found.failed_commits, 'commit')} failed` : '';
  return [late ? 'late' : 'on', `recording since ${f.since(f.parse(found.started), now.at_s)}`,
    `${ago == null ? 'no commit yet' : `last commit ${f.length(ago)} ago`}${failed}; ${tier}${unread}`];
}

// hosts tell now and then: how much they have told, and when they did
function showHosts(now) {
  if (document.body.dataset.of !== now.hosts) {
    document.body.dataset.of = now.hosts;
    document.querySelector('header nav a').after(h('a', { href: link('/hosts', '', ofHosts(new URLSearchParams(location.search))), 'aria-current': location.pathname === '/hosts' ? 'page' : null }, 'Hosts'));
    at('now-health').querySelector('.label').textContent = 'Hosts';
    const told = now.hosts === 'fleet' ? 'as far as delivered' : 'as far as merged';
    for (const [period, word] of [['today', 'Today'], ['month', 'This month']]) at(`now-${period}`).previousElementSibling.textContent = `${word}, all hosts, ${told}`;
    at('source').textContent = now.hosts === 'fleet' ? 'Everything here is what hosts have delivered to the fleet’s store.' : 'Everything here comes from ledgers that were merged into one.';
  }
  put('host', visible(now.name));
  showSums(now, now.trouble ? '' : now.hosts === 'fleet' ? 'nothing delivered of it' : 'nothing merged of it');
  const [state, words, more] = heard(now);
  at('now-health').dataset.state = state;
  put('now-state', words);
  put('now-more', more);
}

function heard(now) {
  if (now.trouble) return ['off', now.count === 0 ? 'nothing is known yet' : 'the hosts cannot be asked', sentence(now.trouble) + (now.hint ? ` ${sentence(now.hint)}` : '')];
  if (!now.count) return ['off', 'no host has told anything yet', now.hosts === 'fleet' ? 'Hosts deliver with: netusage ship.' : ''];
  const late = now.hosts === 'fleet' && now.behind > 0;
  const words = f.count(now.count, 'host') + (late ? `, ${now.behind} far behind` : '');
  const who = (one) => `${visible(one.host)}, ${now.hosts === 'fleet' ? `${f.length(Math.max(now.at_s - f.parse(one.heard), 0))} ago` : f.when(f.parse(one.heard))}`;
  const others = now.first.heard !== now.last.heard ? `; longest ago: ${who(now.first)}` : '';
  return [late ? 'late' : 'on', words, `last ${now.hosts === 'fleet' ? 'delivery' : 'merged'}: ${who(now.last)}${others}`];
}

function showBroken() {
  at('now-health').dataset.state = 'late';
  put('now-state', document.body.dataset.of ? 'the page’s server does not answer, trying again' : 'the stream broke off, trying again');
  put('now-more', 'Is netusage web still running?');
  put('now-rx', '–');
  put('now-tx', '–');
}

// the last five minutes, received above and sent below
function spark(now, memory) {
  const top = Math.max(...memory.map((one) => one.rx), ...memory.map((one) => one.tx), 1);
  for (const [way, sign] of [['rx', -1], ['tx', 1]]) {
    const steps = memory.map((one) => `L${(300 - now + one.start_s).toFixed(1)} ${(20 + (sign * 19 * one[way]) / top).toFixed(1)}H${(300 - now + one.at_s).toFixed(1)}`);
    const start = memory.length ? (300 - now + memory[0].start_s).toFixed(1) : 300;
    at('now-spark').querySelector(`.${way}`).setAttribute('d', `M${start} 20${steps.join('')}V20Z`);
  }
}

// ---- While you were away ------------------------------------------------------------------------------------------

async function away(now) {
  const visited = Number(f.stored(VISITED));
  const note = () => { if (!document.hidden) f.store(VISITED, String(Math.round(Date.now() / 1000))); };
  note();
  setInterval(note, 30000);
  window.addEventListener('pagehide', note);
  if (!visited || now - visited < AWAY_S || visited > now) return;
  const found = await get('away', { since: `@${visited}` }).catch(() => null);
  if (!found) return;
  const close = h('button', { type: 'button', class: 'close', 'aria-label': 'Dismiss', click: () => { at('away').replaceChildren(); at('main').focus(); } }, '×');
  const list = (word, ...items) => h('div', {}, h('h3', {}, word), h('ul', {}, items));
  const end = f.parse(found.end);
  const fresh = found.new.slice(0, 6);
  const more = found.new.length - fresh.length + found.more_new;
  at('away').replaceChildren(h('section', { class: 'card', 'aria-label': 'While you were away' }, close,
    h('h2', {}, 'While you were away'),
    h('p', {}, `In ${f.length(found.seconds)}, since ${f.when(visited)}, this machine received `, h('b', {}, f.bytes(found.rx_bytes)), ' and sent ', h('b', {}, f.bytes(found.tx_bytes)), '. ',
      h('a', { href: link('/', '', { since: f.iso(visited), until: f.iso(Math.min(end, now)) }) }, 'Show this stretch')),
    h('div', { class: 'grid' },
      found.applications.length ? list('Most of it', found.applications.map((one) => h('li', {}, h('a', { href: applicationPath(one.application) }, visible(one.application)), ` ${f.bytes(one.both)}, ${f.share(one.share)}`))) : '',
      fresh.length ? list('New', fresh.map((one) => h('li', {}, h('a', { href: applicationPath(one.application), title: visible(one.path) }, visible(one.application)), one.kind === 'version' ? ' has a new version' : ' for the first time')), more > 0 ? h('li', { class: 'muted' }, `and ${more} more`) : '') : '',
      found.gaps.count ? list('Gaps', h('li', {}, `${found.gaps.count}, ${f.length(found.gaps.seconds)} in all; ${found.gaps.lossy ? `${found.gaps.lossy} may have lost bytes` : 'no bytes lost'}`)) : '')));
}

// ---- Settings -----------------------------------------------------------------------------------------------------

function settingsMenu(page) {
  const menu = at('settings');
  const choice = (key, title, options) => h('fieldset', {}, h('legend', {}, title), options.map(([value, words]) => h('label', {},
    h('input', { type: 'radio', name: key, checked: f.settings[key] === value, change: () => { f.change(key, value); applied(); } }), words)));
  const applied = () => {
    document.dispatchEvent(new Event('settings'));
    page.again();
  };
  menu.querySelector('form').replaceChildren(
    choice('units', 'Sizes', [['si', 'kB, MB, GB (1000)'], ['iec', 'KiB, MiB, GiB (1024)']]),
    choice('bits', 'Rates', [[false, 'in bytes'], [true, 'in bits']]),
    choice('theme', 'Colours', [['auto', 'as the system'], ['light', 'light'], ['dark', 'dark']]));
  document.addEventListener('keydown', (event) => {
    const open = event.key === 'Escape' && document.querySelector('details.menu[open]');
    if (!open) return;
    event.stopPropagation();
    open.open = false;
    open.querySelector('summary').focus();
  }, true);
}

new Page().start();
