// The page: told everything at the start and by each event, it draws what it was told.
// Plain JavaScript; a browser of 2020 or later. No library, no build step.

import { bars, clock, make, plot, short } from './plot.js';
import { Graph, grade } from './graph.js';

const $ = (id) => document.getElementById(id);
const KEPT = 900;
const FIRST_ALARMS = 5;
const WORDS = {
  watching: ['✓', 'Watching'], learning: ['◔', 'Learning'], degraded: ['◆', 'Watching, with less than usual'],
  alarm: ['▲', 'Alarm'], stuck: ['✕', 'Stuck'], offline: ['?', 'No connection'], starting: ['…', 'Starting'],
};

let plant = null;
let series = { t: [], score: [], bar: [] };
let values = [];              // per point: {values, expected}, beside `series`
let now = null;
let service = null;
let alarms = [];
let session = { password: false, signed_in: false };
let past = null;              // what /api/history gave for the range that is shown
let range = 0;
let chosen = null;
let sensorPast = null;
let online = false;
let allAlarms = false;

const graph = new Graph($('graph'), choose);

// ---- small helpers of this page

function element(name, attributes = {}, ...children) {
  const one = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) one.addEventListener(key.slice(2), value);
    else if (value !== false) one.setAttribute(key, value);
  }
  one.append(...children.filter((child) => child !== null && child !== undefined));
  return one;
}

function cells(...texts) {
  return element('tr', {}, ...texts.map((text) => element('td', {}, text)));
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

function megabytes(bytes) {
  if (bytes === null || bytes === undefined) return '–';
  return bytes < 1e10 ? `${short(bytes / 1e6)} MB` : `${short(bytes / 1e9)} GB`;
}

function withUnit(value, unit) {
  return unit ? `${short(value)} ${unit}` : short(value);
}

// What part of an alarm a sensor makes up by itself.
function part(strength) {
  return strength >= 1 ? `enough for an alarm (${short(strength)} times)` : `${Math.round(100 * strength)} % of an alarm`;
}

function micros(value) {
  if (value === null || value === undefined) return '–';
  if (value < 1000) return `${short(value)} µs`;
  return value < 1e6 ? `${short(value / 1e3)} ms` : `${short(value / 1e6)} s`;
}

function sensorOf(name) {
  return plant ? plant.sensors.findIndex((sensor) => sensor.name === name) : -1;
}

function say(text) {
  const toast = $('said');
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { toast.hidden = true; }, 6000);
}

// ---- what comes

function take(hello) {
  const before = plant && plant.sensors.map((one) => one.name).join();
  plant = hello.plant;
  series = hello.series;
  // What single sensors did is known only since this page looks; alarms bring their own.
  values = series.t.map(() => null);
  now = hello.now;
  service = hello.service;
  alarms = hello.alarms;
  $('version').textContent = `anomalyd ${hello.version}`;
  if (now && values.length) values[values.length - 1] = now;
  if (plant && plant.sensors.map((one) => one.name).join() !== before) {
    chosen = null;
    $('sensor').hidden = true;
    graph.draw(plant);
    drawSensorTable();
  }
  drawAll();
}

function takePoint(point) {
  now = point;
  series.t.push(point.t);
  series.score.push(point.score);
  series.bar.push(point.bar);
  values.push(point);
  if (series.t.length > KEPT) {
    for (const list of [series.t, series.score, series.bar, values]) list.shift();
  }
  drawScore();
  drawSensors();
  drawState();
}

function takeAlarm(alarm) {
  const place = alarms.findIndex((one) => one.id === alarm.id && one.raised_at === alarm.raised_at);
  if (place < 0) {
    alarms.push(alarm);
    const names = alarm.sensors.slice(0, 3).map((one) => one.sensor).join(', ');
    $('alarm-news').textContent = `Alarm ${alarm.id} raised: ${names}`;
  } else {
    if (!alarms[place].cleared_at && alarm.cleared_at) $('alarm-news').textContent = `Alarm ${alarm.id} cleared`;
    alarms[place] = alarm;
  }
  if (alarms.length > 50) alarms.shift();
  drawAlarms();
  drawState();
}

function connect() {
  const source = new EventSource('/api/events');
  const on = (name, act) => source.addEventListener(name, (event) => {
    setOnline(true);
    act(JSON.parse(event.data));
  });
  on('hello', take);
  on('point', takePoint);
  on('alarm', takeAlarm);
  on('status', (message) => { service = message; drawState(); drawMachine(); drawMuted(); });
  source.onopen = () => setOnline(true);
  source.onerror = () => {
    setOnline(false);
    // A browser gives up for good where it was refused; we do not.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  };
}

function setOnline(is) {
  if (is === online && $('connection').textContent !== 'connecting…') return;
  online = is;
  $('connection').textContent = is ? 'up to date' : 'no connection; trying again…';
  drawState();
  if (is) askSession();
}

// ---- state

function openAlarms() {
  return alarms.filter((alarm) => !alarm.cleared_at);
}

function stateName() {
  if (!online) return 'offline';
  if (!service) return 'starting';
  const state = service.status.state;
  if (state === 'stuck') return 'stuck';
  return openAlarms().length > 0 || service.status.alarms.open.length > 0 ? 'alarm' : state;
}

// A live region speaks whatever is put into it, so only what changed is.
function put(one, text) {
  if (one.textContent !== text) one.textContent = text;
}

function drawState() {
  const name = stateName();
  const [sign, word] = WORDS[name] ?? ['?', name];
  const open = openAlarms();
  $('state').dataset.state = name;
  put($('sign'), sign);
  put($('word'), name === 'alarm' && open.length > 1 ? `${open.length} alarms` : word);
  const title = service?.status.name || plant?.name || 'anomalyd';
  put($('plant'), title);
  document.title = `${sign} ${word} · ${title}`;
  const status = service?.status;
  let detail = status?.state_text ?? '';
  if (name === 'alarm' && open.length > 0) {
    const newest = open[open.length - 1];
    detail = newest.kind === 'silent'
      ? `no values from ${newest.sensors.map((one) => one.sensor).join(', ')}`
      : `most responsible: ${newest.sensors.slice(0, 3).map((one) => one.sensor).join(', ')}`;
    if (status?.state === 'degraded') detail += `; ${status.state_text}`;
  }
  if (name === 'offline') detail = 'What is shown below is what was known last.';
  put($('detail'), detail);
  const facts = [];
  const fact = (label, text) => facts.push(element('div', {}, element('dt', {}, label), element('dd', {}, text)));
  if (now) {
    const relative = now.bar > 0 ? now.score / now.bar : null;
    fact('Score (1 raises an alarm)', short(relative));
  }
  if (status) {
    if (status.sensors.total) fact('Sensors heard', `${status.sensors.fresh} of ${status.sensors.total}`);
    fact('Throughput', `${short(status.samples_per_second)} values/s`);
    if (status.model) fact('Model', `${status.model}, ${status.engine}`);
    fact('Alarms this week', `${status.alarms.week}, ${status.alarms.week_confirmed} confirmed`);
    if (status.flood.gain > 1.005) fact('Flood control', `alarms need ${short(status.flood.gain)} times the usual`);
    fact('Up', span(status.up_seconds));
  }
  $('facts').replaceChildren(...facts);
}

// ---- score

function drawScore() {
  const live = range === 0;
  const shown = live ? series : past;
  if (!shown) return;
  plot($('score-plot'), { t: shown.t, zero: true,
    lines: [{ values: shown.bar, name: 'bar' }, { values: shown.score, name: 'score' }] });
  const last = shown.score.length - 1;
  $('score-plot').setAttribute('aria-label', last < 0 ? 'Score over time: nothing yet'
    : `Score over time, ${live ? 'the last 15 minutes' : 'from the history'}: now ${short(shown.score[last])}, an alarm above ${short(shown.bar[last])}`);
  if (!$('score-table').closest('details').open) return;
  const step = Math.max(1, Math.ceil(shown.t.length / 40));
  const rows = [];
  for (let i = 0; i < shown.t.length; i += step) {
    const part = shown.score.slice(i, i + step).filter((one) => one !== null);
    rows.push(cells(new Date(shown.t[i]).toLocaleString(), short(part.length ? Math.max(...part) : null), short(shown.bar[i])));
  }
  $('score-table').replaceChildren(...rows.reverse());
}

async function loadPast() {
  if (range > 0) {
    const got = await fetch(`/api/history?seconds=${range}`).catch(() => null);
    past = got?.ok ? await got.json() : { t: [], score: [], bar: [] };
    drawScore();
  }
  await loadSensorPast();
}

// ---- alarms

function drawAlarms() {
  const newest = [...alarms].reverse();
  const shown = allAlarms ? newest : newest.slice(0, Math.max(FIRST_ALARMS, openAlarms().length));
  $('more-alarms').hidden = shown.length === newest.length;
  // What somebody is about to press must not vanish under their hand.
  if ($('alarm-list').contains(document.activeElement) && document.activeElement.tagName === 'SELECT') return;
  if (newest.length === 0) {
    $('alarm-list').replaceChildren(element('p', {}, 'None yet.'));
    return;
  }
  const drawn = shown.map(drawAlarm);
  $('alarm-list').replaceChildren(...drawn.map((one) => one.article));
  for (const { plots } of drawn) for (const draw of plots) draw();
}

function drawAlarm(alarm) {
  const raised = Date.parse(alarm.raised_at);
  const cleared = alarm.cleared_at ? Date.parse(alarm.cleared_at) : null;
  const day = new Date(raised).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  const title = cleared ? `Alarm ${alarm.id}: over` : `▲ Alarm ${alarm.id}: stands`;
  const parts = [element('time', { datetime: alarm.raised_at }, day)];
  if (cleared) parts.push(`, for ${span((cleared - raised) / 1000)}`);
  if (alarm.kind === 'anomaly') parts.push(`, score ${short(alarm.score)}, peak ${short(alarm.peak_score)}`);
  if (alarm.threshold > 1.005) parts.push(` (bar raised ${short(alarm.threshold)} times)`);
  if (alarm.verdict) parts.push(alarm.verdict === 'real' ? ', confirmed as real' : ', said to be normal');
  if (alarm.degraded) parts.push(`, degraded when raised: ${alarm.degraded}`);
  const plots = [];
  const list = element('ol', {}, ...alarm.sensors.slice(0, 5).map((one) => {
    const text = evidence(one);
    const data = alarm.plots.find((plot) => plot.sensor === one.sensor && plot.t.length > 1);
    if (!data) return element('li', {}, text);
    const svg = make('svg', { class: 'plot small', role: 'img',
      'aria-label': `${one.sensor} before and after the raise: seen as a line, expected dashed` });
    plots.push(() => plot(svg, { t: data.t, small: true, mark: raised,
      lines: [{ values: data.expected, name: 'expected' }, { values: data.seen, name: 'seen' }] }));
    return element('li', { class: 'with-plot' }, text, svg);
  }));
  const article = element('article', { class: cleared ? 'alarm' : 'alarm open' },
    element('h3', {}, title), element('p', {}, ...parts), list, actions(alarm, cleared));
  return { article, plots };
}

function evidence(one) {
  const name = element('b', {}, one.sensor);
  if (one.seen === null || one.expected === null) {
    return element('span', {}, name, one.seen === null ? ' silent, never reported' : ` silent, last value ${withUnit(one.seen, one.unit)}`);
  }
  const from = one.from.length > 0 ? ` from ${one.from.join(', ')}` : '';
  return element('span', {}, name, ` seen ${withUnit(one.seen, one.unit)}, expected ${short(one.expected)}${from}`);
}

function actions(alarm, cleared) {
  if (!session.signed_in) return null;
  const ack = (as) => () => post('/api/ack', { alarm: alarm.id, as });
  const buttons = [
    element('button', { type: 'button', onclick: ack('real') }, 'It was real'),
    element('button', { type: 'button', onclick: ack('normal') }, 'This was normal'),
  ];
  if (!cleared) buttons.push(muteMenu(alarm.id, `Mute alarm ${alarm.id}`));
  return element('div', { class: 'actions' }, ...buttons);
}

function muteMenu(what, label) {
  const option = (seconds, text) => element('option', { value: seconds }, text);
  return element('select', { 'aria-label': label, onchange: (event) => {
    const seconds = Number(event.target.value);
    event.target.value = '';
    event.target.blur();
    if (seconds > 0) post('/api/mute', { what, seconds });
  } }, option('', 'Mute for…'), option(3600, '1 hour'), option(28800, '8 hours'), option(86400, '1 day'), option(604800, '7 days'));
}

function drawMuted() {
  const muted = service?.status.muted ?? [];
  $('muted').replaceChildren(...muted.map((one) => {
    const until = new Date(one.until).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
    const end = session.signed_in
      ? element('button', { type: 'button', onclick: () => post('/api/unmute', { what: one.what }) }, 'End') : null;
    return element('p', { class: 'notice' }, `${one.what} is muted until ${until} `, end);
  }));
}

// ---- sensors

function drawSensorTable() {
  $('sensor-table').replaceChildren(...plant.sensors.map((sensor, i) => element('tr', { 'data-name': sensor.name.toLowerCase() },
    element('th', { scope: 'row' }, element('button', { type: 'button', onclick: () => choose(i, true) }, sensor.name)),
    element('td'), element('td'), element('td'))));
}

function drawSensors() {
  if (!plant || !now) return;
  graph.colour(now, chosen);
  const by = { far: [], odd: [], gone: [] };
  now.values.forEach((value, i) => by[grade(value, now.strength[i])]?.push(plant.sensors[i].name));
  const named = (list) => list.slice(0, 6).join(', ') + (list.length > 6 ? ` and ${list.length - 6} more` : '');
  const parts = [];
  if (by.far.length) parts.push(`far off: ${named(by.far)}`);
  if (by.odd.length) parts.push(`unusual: ${named(by.odd)}`);
  if (by.gone.length) parts.push(`silent: ${named(by.gone)}`);
  const text = parts.length ? parts.join('; ') : `all ${plant.sensors.length} are as expected`;
  $('sensors-text').textContent = text;
  $('graph').setAttribute('aria-label', `Graph of ${plant.sensors.length} sensors; ${text}. The table below has the same.`);
  if ($('sensor-details').open) {
    [...$('sensor-table').rows].forEach((row, i) => {
      const name = grade(now.values[i], now.strength[i]);
      const unit = plant.sensors[i].unit;
      put(row.cells[1], withUnit(now.values[i], unit));
      put(row.cells[2], withUnit(now.expected[i], unit));
      put(row.cells[3], name === 'gone' ? 'silent' : { calm: 'as expected', odd: 'unusual', far: 'far off' }[name] + `: ${part(now.strength[i])}`);
      row.cells[3].className = name;
    });
  }
  drawSensor();
}

function choose(i, scroll) {
  chosen = i;
  sensorPast = null;
  $('sensor').hidden = false;
  drawSensors();
  drawSensorActions();
  loadSensorPast();
  if (scroll) $('sensor').scrollIntoView({ block: 'nearest' });
}

function drawSensor() {
  if (chosen === null || !plant || !now) return;
  const { name, unit } = plant.sensors[chosen];
  put($('sensor-name'), name);
  put($('sensor-text'), now.values[chosen] === null ? 'silent: nothing fresh is known'
    : `seen ${withUnit(now.values[chosen], unit)}, expected ${short(now.expected[chosen])}, ${part(now.strength[chosen])}`);
  const svg = $('sensor-plot');
  if (range > 0) {
    if (!sensorPast) return;
    svg.setAttribute('aria-label', `${name}: lowest and highest values over the time shown`);
    plot(svg, { t: sensorPast.t, lines: [], band: { low: sensorPast.low, high: sensorPast.high } });
    return;
  }
  svg.setAttribute('aria-label', `${name}: seen and expected since this page was opened`);
  const from = values.findIndex((one) => one !== null);
  const since = from < 0 ? [] : values.slice(from);
  plot(svg, { t: series.t.slice(series.t.length - since.length),
    lines: [{ values: since.map((one) => one?.expected[chosen] ?? null), name: 'expected' },
      { values: since.map((one) => one?.values[chosen] ?? null), name: 'seen' }] });
}

function drawSensorActions() {
  const name = chosen !== null && plant ? plant.sensors[chosen].name : null;
  $('sensor-actions').replaceChildren(...(session.signed_in && name ? [muteMenu(name, `Mute sensor ${name}`)] : []));
}

async function loadSensorPast() {
  if (range === 0 || chosen === null) { drawSensor(); return; }
  const name = encodeURIComponent(plant.sensors[chosen].name);
  const got = await fetch(`/api/history?seconds=${range}&sensor=${name}`).catch(() => null);
  const read = got?.ok ? await got.json() : { t: [] };
  sensorPast = { t: read.t, low: read.low ?? [], high: read.high ?? [] };
  drawSensor();
}

// ---- appliance

function drawMachine() {
  if (!service) return;
  const { status, latency } = service;
  const health = status.health ?? {};
  put($('board'), [status.board, status.host].filter(Boolean).join(', '));
  const cards = [];
  const card = (label, text, { note, warn, share } = {}) => cards.push(element('div', { class: warn ? 'card warn' : 'card' },
    element('b', {}, label), element('span', {}, text),
    share === undefined ? null : element('meter', { min: 0, max: 1, high: 0.9, value: share, 'aria-label': label }),
    note ? element('small', {}, warn ? `▲ ${note}` : note) : null));
  const limit = health.cgroup_memory_max_bytes;
  card('Memory', megabytes(health.rss_bytes), limit
    ? { note: `of ${megabytes(limit)}`, share: (health.rss_bytes ?? 0) / limit } : { note: 'no limit' });
  card('Processor', health.cpu_percent === null || health.cpu_percent === undefined ? '–' : `${short(health.cpu_percent)} %`,
    { note: '100 % is one core' });
  if (health.soc_temperature_celsius !== null && health.soc_temperature_celsius !== undefined) {
    const hot = health.soc_temperature_celsius >= 80;
    card('Temperature', `${short(health.soc_temperature_celsius)} °C`, { warn: hot, note: hot ? 'hot' : 'fine' });
  }
  const throttle = health.throttle;
  if (throttle) {
    const slowed = throttle.throttled || throttle.frequency_capped || throttle.temperature_limited;
    const weak = throttle.under_voltage;
    card('Throttling', slowed ? 'slowed down' : 'none', { warn: slowed || weak, note: weak ? 'the supply is too weak'
      : throttle.throttled_since_boot ? 'it was since the start' : 'not since the start' });
  }
  card('Throughput', `${short(status.samples_per_second)} values/s`, { note: `${status.samples_lost} lost`, warn: status.samples_lost > 0 });
  card('Frames', `${status.scored} scored`, { note: `${status.unscored} without a score`, warn: status.unscored > 0 });
  card('Written', megabytes(health.written_bytes), { note: 'since the start' });
  if (health.state_volatile) card('State', 'in memory only', { warn: true, note: 'lost with the power: no disk is mounted there' });
  if (health.disk) card('Disk', `${megabytes(health.disk.free_bytes)} free`);
  if (health.oom_kills > 0) card('Killed for memory', `${health.oom_kills} times`, { warn: true, note: 'more memory is needed' });
  if (health.clock_synchronised === false) card('Clock', 'not set by a time server', { warn: true, note: 'times may be wrong' });
  $('cards').replaceChildren(...cards);
  drawLatency(latency);
  $('sources').replaceChildren(...status.sources.map((one) => cells(one.name, one.state, String(one.received))));
}

function drawLatency(latency) {
  const rows = latency.bounds_us.map((bound, i) => ({ label: micros(bound), count: latency.counts[i] }));
  if (latency.slower > 0) rows.push({ label: 'more', count: latency.slower });
  const used = rows.map((one) => one.count > 0);
  const [first, last] = [used.indexOf(true), used.lastIndexOf(true)];
  const shown = first < 0 ? [] : rows.slice(Math.max(0, first - 1), last + 2);
  bars($('latency'), shown);
  const text = latency.total > 0
    ? `half within ${micros(latency.p50_us)}, 99 of 100 within ${micros(latency.p99_us)}, the slowest ${micros(latency.longest_us)}; ${latency.total} frames since the start`
    : 'nothing was scored yet';
  put($('latency-text'), text);
  $('latency').setAttribute('aria-label', `Latency distribution: ${text}`);
  $('latency-table').replaceChildren(...rows.filter((one) => one.count > 0).map((one) => cells(one.label, String(one.count))));
}

function drawAll() {
  drawState();
  drawScore();
  drawAlarms();
  drawMuted();
  drawSensors();
  drawMachine();
}

// ---- signing in, and what one may do then

async function askSession() {
  const got = await fetch('/api/session').catch(() => null);
  if (got?.ok) session = await got.json();
  $('sign-in').hidden = !session.password || session.signed_in;
  $('sign-out').hidden = !session.signed_in;
  $('read-only').hidden = session.password;
  drawAlarms();
  drawMuted();
  drawSensorActions();
}

async function post(path, body) {
  const got = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    .catch(() => null);
  const answer = await got?.json().catch(() => null);
  const text = answer?.text ?? 'the service did not answer';
  if (path !== '/api/login') say(text);
  if (got?.status === 401 && path !== '/api/login') askSession();
  return { ok: Boolean(answer?.ok), text };
}

$('sign-in').addEventListener('click', () => { $('login-error').textContent = ''; $('login').showModal(); });
$('login-cancel').addEventListener('click', () => $('login').close());
$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { ok, text } = await post('/api/login', { password: $('password').value });
  $('password').value = '';
  if (!ok) { $('login-error').textContent = text; $('password').focus(); return; }
  $('login').close();
  await askSession();
});
$('sign-out').addEventListener('click', async () => { await post('/api/logout', {}); await askSession(); });

$('ranges').addEventListener('change', (event) => {
  range = Number(event.target.value);
  past = null;
  sensorPast = null;
  if (range === 0) drawScore();
  loadPast();
});
$('more-alarms').addEventListener('click', () => { allAlarms = true; drawAlarms(); });
$('find').addEventListener('input', (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const row of $('sensor-table').rows) row.hidden = !row.dataset.name.includes(wanted);
});
for (const details of document.querySelectorAll('details')) {
  details.addEventListener('toggle', () => { if (details.open) drawAll(); });
}
let wide = window.innerWidth;
window.addEventListener('resize', () => {
  // A phone that hides its address bar changes the height only.
  if (window.innerWidth === wide) return;
  wide = window.innerWidth;
  if (plant) graph.draw(plant);
  drawAll();
});
setInterval(() => { if (range > 0) loadPast(); }, 300000);
connect();
