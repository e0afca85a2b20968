// What the server is asked, and what the page is made of.

// ---- Questions ----------------------------------------------------------------------------------------------------

export const DIMENSIONS = ['host', 'interface', 'application', 'path', 'user', 'unit', 'container', 'pod', 'scope', 'protocol', 'family'];

const LOOK_AGAIN_MS = 10000;

export class ApiError extends Error {
  constructor(status, found) {
    super(found.message || `The server answered with status ${status}.`);
    this.status = status;
    this.kind = found.kind || '';
    this.hint = found.hint || '';
  }
}

// an address of the API; lists give a parameter several times, and what is null or empty is left out
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one != null && one !== '') query.append(key, one);
  }
  const text = query.toString().replaceAll('%40', '@').replaceAll('%3A', ':');
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

export async function get(path, params, signal) {
  let answer;
  try {
    answer = await fetch(address(path, params), { signal, headers: { Accept: 'application/json' } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, { kind: 'unreachable', message: 'The server does not answer.', hint: 'Is netusage web still running?' });
  }
  if (answer.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    throw new DOMException('going to log in', 'AbortError');
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, found.error || {});
  return found;
}

// The present, each second, as long as somebody looks. The last five minutes of it are kept in memory. Of several hosts
// nobody knows the present: what they have told is asked for now and then.
export class Present {
  constructor(tell, broken) {
    this.memory = [];
    this.last = null;
    this.tell = tell;
    this.broken = broken;
    document.addEventListener('visibilitychange', () => (this.last?.hosts && !document.hidden ? this.look() : this.follow()));
  }

  follow() {
    if (document.hidden) {
      this.stop();
    } else if (this.last?.hosts) {
      clearTimeout(this.again);
      this.again = setTimeout(() => this.look(), LOOK_AGAIN_MS);
    } else if (!this.source) {
      this.source = new EventSource('/api/v1/events');
      this.source.addEventListener('now', (event) => this.take(JSON.parse(event.data)));
      this.source.addEventListener('error', () => this.failed());
    }
  }

  stop() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.again);
  }

  async look() {
    const now = await get('now').catch(() => null); // leads to the login when that is what is missing
    if (now?.hosts) this.take(now);
    else if (this.last?.hosts) this.broken();
    this.follow();
  }

  failed() {
    this.broken();
    this.stop();
    this.again = setTimeout(() => this.look(), 3000);
  }

  // what the server knows of the last minutes
  async remember() {
    const found = await get('recent').catch(() => null);
    if (!found) return;
    const add = (at, n) => this.add(at, found.rx_bytes_per_second[n], found.tx_bytes_per_second[n]);
    this.memory = [];
    found.at_s.forEach(add);
  }

  add(at, rx, tx) {
    const before = this.memory.at(-1);
    if (before && at <= before.at_s) return;
    // a pause is a hole, not a long second
    this.memory.push({ start_s: before && at - before.at_s < 5 ? before.at_s : at - 1, at_s: at, rx, tx });
    while (this.memory[0].at_s < at - 300) this.memory.shift();
  }

  take(now) {
    if (now.rates) this.add(now.at_s, now.rates.rx_bytes_per_second, now.rates.tx_bytes_per_second);
    this.last = now;
    this.tell(now);
  }
}

// ---- What is chosen, as it stands in the page's address -----------------------------------------------------------

export const filters = (params) => Object.fromEntries(DIMENSIONS.filter((one) => params.has(one)).map((one) => [one, params.getAll(one)]));

// a link to this page or another with some parameters changed: null takes one away
export function link(path, params, changes) {
  const query = new URLSearchParams(params);
  for (const [key, value] of Object.entries(changes)) {
    query.delete(key);
    for (const one of Array.isArray(value) ? value : [value]) if (one != null) query.append(key, one);
  }
  const text = query.toString().replaceAll('%3A', ':');
  return path + (text ? `?${text}` : '');
}

// the hosts that are chosen, for links to other views and for questions; everything else in an address is of one view
export const ofHosts = (params) => ({ host: params.getAll('host') });

// a name as a pattern that matches nothing else
export const pattern = (name) => name.replace(/[*?[]/g, '[$&]');

export const applicationPath = (name) => `/applications/${encodeURIComponent(name)}`;

// ---- Elements -----------------------------------------------------------------------------------------------------

// an element: functions are listeners, objects are styles, true and false are attributes that are there or not
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (key === 'style') for (const [name, one] of Object.entries(value)) element.style.setProperty(name, one);
    else if (value === true) element.setAttribute(key, '');
    else if (value != null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((one) => one != null && one !== false));
  return element;
}

// Names come from programs and files of any origin: what would not be seen, or would turn text around, is written out.
export const visible = (name) => String(name).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

// the server's messages as sentences
export const sentence = (text) => visible(text).replace(/^./, (c) => c.toUpperCase()).replace(/[^.!?]$/, '$&.');

export function trouble(error, ...more) {
  const empty = error.kind === 'no-data';
  return h('div', { class: 'card trouble', role: empty ? null : 'alert' },
    h('h2', {}, empty ? 'Nothing to show yet' : 'That did not work'),
    h('p', {}, sentence(error.message)),
    error.hint && h('p', { class: 'muted' }, sentence(error.hint)), ...more);
}

// one thing that is chosen, and how it is no more
export const chip = (dimension, value, params, name = visible(value)) => h('span', { class: 'chip' }, `${dimension}: `, name,
  h('a', { class: 'off', href: link(location.pathname, params, { [dimension]: params.getAll(dimension).filter((one) => one !== value) }), 'aria-label': `Remove the filter ${dimension}: ${visible(value)}` }, '×'));

export const numbers = (...cells) => cells.map((one) => h('td', { class: 'n' }, one));

// other children, with the focus where it was: on what has the same data-id, or else on `otherwise`
export function renew(place, otherwise, ...children) {
  const before = place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...children.filter((one) => one !== ''));
  if (!before) return;
  const id = before.dataset.id;
  ([...place.querySelectorAll('[data-id]')].find((one) => one.dataset.id === id) || otherwise).focus({ preventScroll: true });
}
