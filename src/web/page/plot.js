// Plots as SVG: lines over time with a little axis, and bars. No numbers are made up: a gap in the
// data is a gap in the line.

const NS = 'http://www.w3.org/2000/svg';

export function make(name, attributes = {}, text) {
  const one = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  return one;
}

// A number as people write it: three digits that matter, more where the number is large.
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return value.toExponential(2);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

export function clock(milliseconds, span) {
  const time = new Date(milliseconds);
  if (span > 2 * 86400e3) return time.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  const parts = { hour: '2-digit', minute: '2-digit' };
  if (span <= 3600e3) parts.second = '2-digit';
  return time.toLocaleTimeString(undefined, parts);
}

function path(t, values, x, y) {
  let text = '';
  let pen = false;
  for (let i = 0; i < t.length; i++) {
    if (values[i] === null || values[i] === undefined) { pen = false; continue; }
    text += `${pen ? 'L' : 'M'}${x(t[i]).toFixed(1)} ${y(values[i]).toFixed(1)}`;
    pen = true;
  }
  return text;
}

// `lines`: [{values, name}]; `band`: {low, high}; `zero`: the axis begins at 0; `mark`: a time.
export function plot(svg, { t, lines, band, zero, mark, small }) {
  const width = svg.clientWidth || 320;
  const height = svg.clientHeight || 180;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const parts = [];
  const all = [...lines.map((one) => one.values), ...(band ? [band.low, band.high] : [])].flat()
    .filter((value) => value !== null && value !== undefined);
  if (t.length < 1 || all.length < 1) {
    parts.push(make('text', { x: 8, y: height / 2 }, 'nothing yet'));
    svg.replaceChildren(...parts);
    return;
  }
  let low = zero ? 0 : all.reduce((a, b) => Math.min(a, b));
  let high = all.reduce((a, b) => Math.max(a, b));
  if (high - low < 1e-9 * Math.max(1, Math.abs(high))) { low -= zero ? 0 : 1; high += 1; }
  const room = (high - low) * 0.06;
  high += room;
  if (!zero) low -= room;
  const left = small ? 4 : 42;
  const bottom = small ? 4 : 20;
  const first = t[0];
  const span = Math.max(t[t.length - 1] - first, 1);
  const x = (time) => left + (time - first) / span * (width - left - 6);
  const y = (value) => height - bottom - (value - low) / (high - low) * (height - bottom - 6);
  if (!small) {
    parts.push(make('path', { class: 'axis', d: `M${left} 6V${height - bottom}H${width - 6}` }));
    for (const share of [0, 0.5, 1]) {
      const value = low + (high - low) * share;
      const at = { x: left - 5, y: y(value) + (share === 1 ? 8 : 3), 'text-anchor': 'end' };
      parts.push(make('text', at, short(value)));
    }
    const count = Math.max(2, Math.floor(width / 140));
    for (let i = 0; i < count; i++) {
      const time = first + span * i / (count - 1);
      const anchor = i === 0 ? 'start' : i === count - 1 ? 'end' : 'middle';
      parts.push(make('text', { x: x(time), y: height - 5, 'text-anchor': anchor }, clock(time, span)));
    }
  }
  if (band) {
    // Each stretch without gaps is an area of its own.
    let from = 0;
    for (let i = 0; i <= t.length; i++) {
      if (i < t.length && band.low[i] !== null) continue;
      if (i > from) {
        const times = t.slice(from, i);
        const back = [...times].reverse();
        const lows = band.low.slice(from, i).reverse();
        const area = path(times, band.high.slice(from, i), x, y) + path(back, lows, x, y).replace('M', 'L') + 'Z';
        parts.push(make('path', { class: 'band', d: area }));
      }
      from = i + 1;
    }
  }
  if (mark !== undefined && mark >= first && mark <= first + span) {
    parts.push(make('line', { class: 'raise', x1: x(mark), x2: x(mark), y1: 2, y2: height - bottom }));
  }
  for (const { values, name } of lines) {
    parts.push(make('path', { class: name, d: path(t, values, x, y) }));
  }
  svg.replaceChildren(...parts);
}

// `bars`: [{label, count}]
export function bars(svg, bars) {
  const width = svg.clientWidth || 320;
  const height = svg.clientHeight || 144;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const most = bars.reduce((most, one) => Math.max(most, one.count), 1);
  const step = width / Math.max(bars.length, 1);
  const parts = [];
  // Labels have room; the table beside has them all.
  const every = Math.ceil(46 / step);
  bars.forEach(({ label, count }, i) => {
    const tall = count / most * (height - 36);
    const middle = step * (i + 0.5);
    parts.push(make('rect', { class: 'count', x: step * i + 2, width: Math.max(step - 4, 1), y: height - 18 - tall, height: tall }));
    if (i % every === 0) parts.push(make('text', { x: middle, y: height - 4, 'text-anchor': 'middle' }, label));
    if (count > 0) parts.push(make('text', { x: middle, y: height - 22 - tall, 'text-anchor': 'middle' }, short(count)));
  });
  svg.replaceChildren(...parts);
}
