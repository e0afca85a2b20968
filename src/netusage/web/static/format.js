// Bytes, rates, lengths and times as people read them, by this browser's settings and in the server's time zone.

// ---- Settings -----------------------------------------------------------------------------------------------------

const KEY = 'netusage.settings';
export const settings = { units: 'si', bits: false, theme: 'auto' };

export function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // storage is forbidden
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above: settings last as long as the page
  }
}

try {
  const found = JSON.parse(stored(KEY) || '{}');
  if (found.units === 'iec') settings.units = 'iec';
  settings.bits = found.bits === true;
  if (found.theme === 'light' || found.theme === 'dark') settings.theme = found.theme;
} catch {
  // what is stored is none of ours
}

export function change(key, value) {
  settings[key] = value;
  store(KEY, JSON.stringify(settings));
}

// ---- Bytes and rates ----------------------------------------------------------------------------------------------

const step = () => (settings.units === 'iec' ? 1024 : 1000);
const prefix = (power) => (power ? (settings.units === 'iec' ? `${' KMGTPE'[power]}i` : ' kMGTPE'[power]) : '');

// as netusage writes them: "1.50 GB", and 999,996,000 is "1.00 GB"
function scaled(number, symbol) {
  const size = Math.abs(number);
  let power = 0;
  while (power < 6 && size >= step() ** (power + 1) * (power ? 1 - 0.005 / step() : 1)) power += 1;
  const text = power ? (Math.round((size * 100) / step() ** power) / 100).toFixed(2) : String(Math.round(size)); // halves go up
  return `${number < 0 ? '−' : ''}${text} ${prefix(power)}${symbol}`;
}

export const bytes = (number) => scaled(number, 'B');
export const rate = (perSecond) => (settings.bits ? scaled(perSecond * 8, 'bit/s') : scaled(perSecond, 'B/s'));
// round numbers without their zeros
export const short = (text) => text.replace(/(\.\d*?)0+ /, '$1 ').replace('. ', ' ');
export const tick = (perSecond) => short(rate(Math.abs(perSecond)));
export const exact = (number) => (number < 0 ? '−' : '') + Math.abs(number).toLocaleString('en').replaceAll(',', ' ');
export const share = (part) => (part == null ? '' : `${(part * 100).toFixed(part < 0.0995 ? 1 : 0)} %`);

// "1 month", "2 months"
export const count = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;

// round steps of an axis from `low` to `high` with about `count` of them
export function splits(low, high, count) {
  const unit = settings.bits ? 1 / 8 : 1;
  const wanted = Math.max((high - low) / count / unit, 1);
  const base = step() ** Math.floor(Math.log(wanted) / Math.log(step()));
  const round = settings.units === 'iec' ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  const by = round.find((one) => one * base >= wanted * 0.999) * base * unit;
  const found = [];
  for (let n = Math.ceil(low / by); n * by <= high; n += 1) found.push(n * by);
  return found;
}

// a round number of bytes that is not below
export function roundUp(number) {
  let unit = 1;
  while (number >= unit * step()) unit *= step();
  while (number >= unit * 10) unit *= 10;
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((one) => one * unit >= number) * unit;
}

// ---- Lengths ------------------------------------------------------------------------------------------------------

// "3 d 4 h": the two largest units
export function length(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  let rest = Math.max(Math.round(seconds), 0);
  const first = units.findIndex(([, size]) => rest >= size);
  if (first < 0) return '0 s';
  const parts = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    if (rest >= size) parts.push(`${Math.floor(rest / size)} ${name}`);
    rest %= size;
  }
  return parts.join(' ');
}

// ---- Times --------------------------------------------------------------------------------------------------------

let zone; // undefined is the browser's own
const formatters = new Map();

export function setZone(name) {
  if (!name || name === zone) return;
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
  } catch {
    return; // a zone that the browser does not know
  }
  zone = name;
  formatters.clear();
}

function formatter(options) {
  const key = JSON.stringify(options);
  if (!formatters.has(key)) formatters.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: zone, ...options }));
  return formatters.get(key);
}

const write = (seconds, options) => formatter(options).format(seconds * 1000);
const DAY = { day: 'numeric', month: 'short', year: 'numeric' };
const CLOCK = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

export const day = (s) => write(s, DAY);
export const weekday = (s) => `${write(s, { weekday: 'short' })} ${day(s)}`;
export const month = (s) => write(s, { month: 'long', year: 'numeric' });
export const shortMonth = (s) => write(s, { month: 'short' });
export const shortDay = (s) => write(s, { day: 'numeric', month: 'short' });
export const year = (s) => write(s, { year: 'numeric' });
export const clock = (s) => write(s, CLOCK);
export const seconds = (s) => write(s, { ...CLOCK, second: '2-digit' });
export const when = (s) => `${day(s)}, ${clock(s)}`;
// without the day where it is today
export const since = (s, now) => (day(s) === day(now) ? clock(s) : when(s));
export const offsetName = (s) => formatter({ timeZoneName: 'shortOffset' }).formatToParts(s * 1000).find((part) => part.type === 'timeZoneName').value.replace('GMT', 'UTC');
export const parse = (iso) => (iso == null ? null : Date.parse(iso) / 1000);
export const iso = (s) => new Date(Math.round(s) * 1000).toISOString().replace('.000', '');

// local minus UTC time, seconds
export function offset(s) {
  const found = {};
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric', hourCycle: 'h23' };
  for (const part of formatter(options).formatToParts(s * 1000)) found[part.type] = Number(part.value);
  return Date.UTC(found.year, found.month - 1, found.day, found.hour, found.minute, found.second) / 1000 - Math.floor(s);
}

// the UTC seconds of a local clock's reading, which is given as if it were UTC; the first where there are two
export function fromLocal(local) {
  const before = local - offset(local - 86400);
  return before + offset(before) === local ? before : local - offset(local);
}

// a time as it stands in an address: with offset, or of the local clock, or @seconds; null when it is none
export function readTime(text) {
  if (!text) return null;
  if (text.startsWith('@')) return Number(text.slice(1)) || null;
  const local = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(text);
  const found = Date.parse(local && text.length === 10 ? text : local ? `${text}Z` : text) / 1000;
  if (Number.isNaN(found)) return null;
  return local ? fromLocal(found) : found;
}

// its UTC fields are those of the local clock
export const asUtc = (s) => new Date((s + offset(s)) * 1000);
const isMidnight = (s) => (s + offset(s)) % 86400 === 0;

// [start, end) in words
export function stretch(start, end) {
  if (isMidnight(start) && isMidnight(end)) {
    const last = end - 3600;
    return day(start) === day(last) ? weekday(start) : `${day(start)} to ${day(last)}`;
  }
  return day(start) === day(end) ? `${day(start)}, ${clock(start)} to ${clock(end)}` : `${when(start)} to ${when(end)}`;
}

// a bar in words; `exactly` tells the two hours apart that the clock shows twice
export function bar(kind, start, end, exactly) {
  if (kind === 'year') return year(start);
  if (kind === 'month' && isMidnight(start) && asUtc(start).getUTCDate() === 1) return month(start);
  if (['day', 'week', 'month'].includes(kind)) return stretch(start, end);
  if (kind === 'second') return seconds(start);
  const name = exactly ? ` ${offsetName(start)}` : '';
  return `${weekday(start)}, ${clock(start)} to ${clock(end)}${name}`;
}

const STEPS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];
const MONTHS = [1, 2, 3, 6, 12, 24, 60];

// where an axis from `low` to `high` has marks, at round readings of the local clock, about `count` of them; and their words
export function timeMarks(low, high, count) {
  const wanted = (high - low) / Math.max(count, 1);
  const found = [];
  const by = STEPS.find((one) => one >= wanted) || (wanted <= 10 * 86400 ? 604800 : 0);
  if (by) {
    // weeks begin on Mondays, and the Unix epoch was a Thursday
    const shift = by === 604800 ? 4 * 86400 : 0;
    const last = high + offset(high);
    for (let local = Math.ceil((low + offset(low) - shift) / by) * by + shift; local <= last; local += by) {
      const at = fromLocal(local);
      if (at + offset(at) === local && at >= low && at <= high) found.push(at);
    }
  } else {
    const months = MONTHS.find((one) => one * 30 * 86400 >= wanted) || 120;
    const first = asUtc(low);
    for (let n = Math.floor((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months; ; n += months) {
      const at = fromLocal(Date.UTC(Math.floor(n / 12), n % 12, 1) / 1000);
      if (at > high) break;
      if (at >= low) found.push(at);
    }
    if (months >= 12) return found.map((at) => [at, year(at)]);
    return found.map((at, n) => [at, n && asUtc(at).getUTCMonth() ? shortMonth(at) : `${shortMonth(at)}\n${year(at)}`]);
  }
  if (by >= 86400) return found.map((at, n) => [at, n ? shortDay(at) : `${shortDay(at)}\n${year(at)}`]);
  return found.map((at, n) => [at, n && !isMidnight(at) ? clock(at) : `${clock(at)}\n${shortDay(at)}`]);
}
