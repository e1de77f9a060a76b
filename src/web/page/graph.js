// The sensor graph: laid out once, then only coloured, so that nothing moves while one looks at it.

import { make } from './plot.js';

// Fruchterman and Reingold's layout from a circle, then fitted to the picture; the same plant always
// looks the same.
function layout(count, edges, width, height) {
  const at = [];
  for (let i = 0; i < count; i++) {
    const angle = 2 * Math.PI * i / count;
    at.push({ x: Math.cos(angle) * width / 2, y: Math.sin(angle) * height / 2 });
  }
  const ideal = Math.sqrt(width * height / Math.max(count, 1));
  const rounds = count > 300 ? 60 : 300;
  const stretch = height / width;
  for (let round = 0; round < rounds; round++) {
    const heat = (1 - round / rounds) * ideal;
    const move = at.map(() => ({ x: 0, y: 0 }));
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const dx = at[i].x - at[j].x || 0.01 * (i - j);
        const dy = at[i].y - at[j].y || 0.01;
        const push = ideal * ideal / Math.max(dx * dx + dy * dy, 4);
        move[i].x += dx * push; move[i].y += dy * push;
        move[j].x -= dx * push; move[j].y -= dy * push;
      }
    }
    for (const [target, source] of edges) {
      const dx = at[target].x - at[source].x;
      const dy = at[target].y - at[source].y;
      const pull = Math.hypot(dx, dy) / ideal * 0.35;
      move[target].x -= dx * pull; move[target].y -= dy * pull;
      move[source].x += dx * pull; move[source].y += dy * pull;
    }
    for (let i = 0; i < count; i++) {
      // Towards the middle, in the picture's shape, so that what nothing joins stays near.
      move[i].x -= at[i].x * 0.5; move[i].y -= at[i].y * 0.5 / stretch;
      const far = Math.hypot(move[i].x, move[i].y) || 1;
      const step = Math.min(far, heat) / far;
      at[i].x += move[i].x * step; at[i].y += move[i].y * step;
    }
  }
  // By rank as much as by place: a dense middle gets room.
  for (const [axis, low, high] of [['x', 30, width - 30], ['y', 24, height - 12]]) {
    const order = at.map((_, i) => i).sort((a, b) => at[a][axis] - at[b][axis]);
    const first = at[order[0]]?.[axis] ?? 0;
    const span = (at[order[count - 1]]?.[axis] ?? 1) - first || 1;
    order.forEach((i, rank) => {
      const share = 0.5 * (at[i][axis] - first) / span + 0.5 * rank / Math.max(count - 1, 1);
      at[i][axis] = low + share * (high - low);
    });
  }
  // Names that stand on each other are pushed apart.
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const dx = at[i].x - at[j].x;
        const dy = at[i].y - at[j].y;
        if (Math.abs(dx) >= 46 || Math.abs(dy) >= 22) continue;
        const push = (22 - Math.abs(dy)) / 2 * (dy < 0 ? -1 : 1);
        at[i].y = Math.min(height - 12, Math.max(24, at[i].y + push));
        at[j].y = Math.min(height - 12, Math.max(24, at[j].y - push));
        const side = (46 - Math.abs(dx)) / 8 * (dx < 0 ? -1 : 1);
        at[i].x = Math.min(width - 30, Math.max(30, at[i].x + side));
        at[j].x = Math.min(width - 30, Math.max(30, at[j].x - side));
      }
    }
  }
  return at;
}

// How far off a sensor is, in words that the colours follow. `strength` is the part of an alarm that
// it makes up by itself.
export function grade(value, strength) {
  if (value === null || value === undefined) return 'gone';
  return strength >= 0.5 ? 'far' : strength >= 0.15 ? 'odd' : 'calm';
}

export class Graph {
  constructor(svg, choose) {
    this.svg = svg;
    this.choose = choose;
    this.nodes = [];
  }

  draw(plant) {
    const width = this.svg.clientWidth || 320;
    const count = plant.sensors.length;
    const height = Math.round(Math.max(260, Math.min(1600, count * 5000 / width + 80)));
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.svg.setAttribute('height', height);
    // The strongest neighbours of each are enough to see the plant by.
    const shown = new Map();
    for (const edge of plant.edges) {
      const own = shown.get(edge[0]) ?? [];
      own.push(edge);
      shown.set(edge[0], own);
    }
    const edges = [...shown.values()].flatMap((own) =>
      own.sort((a, b) => Math.abs(b[2]) - Math.abs(a[2])).slice(0, 3));
    const at = layout(count, edges, width, height);
    this.edges = edges.map(([target, source]) => {
      const line = make('line', { class: 'edge', x1: at[target].x, y1: at[target].y, x2: at[source].x, y2: at[source].y });
      return { target, line };
    });
    this.nodes = plant.sensors.map((sensor, i) => {
      const node = make('g', { class: 'node' });
      const circle = make('circle', { cx: at[i].x, cy: at[i].y, r: 6 });
      node.append(circle, make('text', { x: at[i].x, y: at[i].y - 9 }, sensor.name));
      node.addEventListener('click', () => this.choose(i));
      return { node, circle };
    });
    this.svg.replaceChildren(...this.edges.map((one) => one.line), ...this.nodes.map((one) => one.node));
  }

  colour(now, chosen) {
    this.nodes.forEach(({ node, circle }, i) => {
      const name = grade(now.values[i], now.strength[i]);
      node.setAttribute('class', `node ${name}${i === chosen ? ' chosen' : ''}`);
      circle.setAttribute('r', { far: 10, odd: 8 }[name] ?? 6);
    });
    for (const { target, line } of this.edges ?? []) {
      const name = grade(now.values[target], now.strength[target]);
      line.setAttribute('class', name === 'odd' || name === 'far' ? 'edge hot' : 'edge');
    }
  }
}
