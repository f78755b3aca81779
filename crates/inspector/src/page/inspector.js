// The page of the inspector: it shows what /events sends, and holds nothing for longer than a minute.
'use strict';

const WHY = {
  timers: 'Timers that are due wake their tasks. A timer never fires early; how late it fires is the lag.',
  pending: 'Tasks that had their share of I/O in the last turn go on, before the poll finds more.',
  idle: 'Tasks that asked to run in each turn.',
  prepare: 'Tasks that asked to run just before the loop looks for events.',
  poll: 'The loop sleeps until a socket, a timer or another thread needs it, and runs what that wakes.',
  check: 'Just after the poll: Node runs setImmediate here.',
  closing: "The end of the turn: Node emits 'close' here.",
};
const TIMELINE_MS = 15000;
const SPARKS = 240;

const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element; children are nodes or text, never HTML. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith('on')) element[key] = value;
    else if (value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

function s(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function time(us) {
  if (us === null || us === undefined) return '–';
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 1 : 0)} ms`;
  if (us < 60e6) return `${(us / 1e6).toFixed(1)} s`;
  if (us < 3600e6) return `${Math.floor(us / 60e6)} min ${Math.round(us % 60e6 / 1e6)} s`;
  return `${Math.floor(us / 3600e6)} h ${Math.round(us % 3600e6 / 60e6)} min`;
}

function count(number) {
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} M`;
  if (number >= 1e4) return `${Math.round(number / 1e3)} k`;
  return String(Math.round(number));
}

function bytes(number) {
  if (number < 1024) return `${number} B`;
  if (number < 1048576) return `${(number / 1024).toFixed(1)} KiB`;
  if (number < 1073741824) return `${(number / 1048576).toFixed(1)} MiB`;
  return `${(number / 1073741824).toFixed(2)} GiB`;
}

const percent = share => `${Math.round(share * 100)} %`;
const color = index => `var(--p${index})`;

// The ring ---------------------------------------------------------------------------------------

let phases = [];
let arcs = [];
const [INNER, OUTER] = [62, 118];

function point(angle, radius) {
  return [radius * Math.sin(angle), -radius * Math.cos(angle)].map(value => value.toFixed(2));
}

function sector(from, to, inner, outer) {
  const [a, b, c, d] = [point(from, outer), point(to, outer), point(to, inner), point(from, inner)];
  return `M${a} A${outer} ${outer} 0 0 1 ${b} L${c} A${inner} ${inner} 0 0 0 ${d} Z`;
}

function drawRing() {
  const each = 2 * Math.PI / phases.length;
  arcs = phases.map((name, index) => {
    const [from, to] = [index * each + 0.03, (index + 1) * each - 0.03];
    const group = s('g', { class: 'arc' });
    const share = s('path', { class: 'share', d: sector(from, to, INNER, INNER) });
    share.style.fill = color(index);
    const [x, y] = point((from + to) / 2, OUTER + 16);
    const label = s('text', { class: 'name', x, y }, name);
    const title = s('title', {}, `${name}: ${WHY[name] || ''}`);
    group.append(title, s('path', { class: 'track', d: sector(from, to, INNER, OUTER) }), share, label);
    $('arcs').append(group);
    const swatch = h('span', { class: 'swatch' });
    swatch.style.background = color(index);
    const spent = h('span', { class: 'time' });
    const row = h('li', {}, swatch, h('span', {}, name), spent, h('span', { class: 'why' }, WHY[name] || ''));
    $('phases').append(row);
    return { group, share, row, spent, from, to };
  });
}

/** The pointer goes around as fast as the loop turns, up to what an eye can follow. */
const pointer = { angle: 0, speed: 0, target: null, last: 0 };

function movePointer(now) {
  const passed = Math.min(0.1, (now - pointer.last) / 1000);
  pointer.last = now;
  if (pointer.target === null) {
    pointer.angle += passed * pointer.speed;
  } else {
    let left = (pointer.target - pointer.angle) % (2 * Math.PI);
    if (left < 0) left += 2 * Math.PI;
    if (left > 2 * Math.PI - 0.05) left -= 2 * Math.PI;
    pointer.angle += left * Math.min(1, passed * 12);
  }
  const [x, y] = point(pointer.angle, OUTER + 2);
  $('pointer').setAttribute('cx', x);
  $('pointer').setAttribute('cy', y);
  requestAnimationFrame(movePointer);
}

function showRing(loop) {
  const counts = loop.counts;
  const step = loop.step;
  if (counts && !step) {
    const work = counts.phases_us.reduce((sum, us) => sum + us, 0) || 1;
    counts.phases_us.forEach((us, index) => {
      const arc = arcs[index];
      const depth = Math.sqrt(us / work);
      arc.share.setAttribute('d', sector(arc.from, arc.to, INNER, INNER + depth * (OUTER - INNER)));
      let text = us ? `${time(us)} · ${percent(us / work)}` : 'nothing to do';
      if (phases[index] === 'poll') text += ` · slept ${percent(1 - counts.utilization)}`;
      arc.spent.textContent = text;
    });
    $('busy').textContent = percent(counts.utilization);
    $('rate').textContent = `${count(counts.turns)} turns/s`;
    $('busy-label').textContent = 'busy';
    pointer.speed = counts.turns ? Math.min(9, 0.6 + Math.log2(1 + counts.turns)) : 0;
  }
  $('stepped').hidden = !step;
  $('free').hidden = !step;
  $('slow').setAttribute('aria-pressed', String(Boolean(step && !step.holds)));
  $('hold').setAttribute('aria-pressed', String(Boolean(step && step.holds)));
  arcs.forEach((arc, index) => {
    const here = Boolean(step && step.phase === index);
    arc.group.classList.toggle('here', here);
    arc.row.classList.toggle('here', here);
  });
  pointer.target = step ? (arcs[step.phase].from + arcs[step.phase].to) / 2 : null;
  if (step) {
    $('busy').textContent = step.turn % 100000;
    $('busy-label').textContent = step.holds ? 'turn, held' : 'turn';
    $('rate').textContent = phases[step.phase];
    const held = step.holds ? ', held: choose “Step a turn”' : '';
    $('where').textContent = `turn ${step.turn}, ${phases[step.phase]}${held}`;
    const lines = step.lines.length ? step.lines : ['nothing to do'];
    $('happened').replaceChildren(...lines.map(line => h('li', {}, line)));
  }
}

async function post(path) {
  try {
    const answer = await fetch(path, { method: 'POST' });
    if (!answer.ok) setLive(false, (await answer.text()).trim());
  } catch (error) {
    setLive(false, String(error));
  }
}

function motion(name) {
  const pace = $('pace').value;
  return post(`/motion?loop=${encodeURIComponent(chosen)}&motion=${name}&pace_ms=${pace}`);
}

$('slow').onclick = () => motion($('slow').getAttribute('aria-pressed') === 'true' ? 'free' : 'slow');
$('hold').onclick = () => motion('hold');
$('step').onclick = () => motion('step');
$('free').onclick = () => motion('free');
$('pace').onchange = () => { if ($('slow').getAttribute('aria-pressed') === 'true') motion('slow'); };

// Utilization, lag and places --------------------------------------------------------------------

const sparks = new Map();

function noteSpark(loop) {
  const points = sparks.get(loop.name) || [];
  if (loop.step) return;
  points.push(loop.counts ? loop.counts.utilization : 0);
  if (points.length > SPARKS) points.shift();
  sparks.set(loop.name, points);
}

function showLoad(loop) {
  const points = sparks.get(loop.name) || [];
  const x = index => 600 - (points.length - 1 - index) * 600 / (SPARKS - 1);
  const line = points.map((share, index) => `${x(index).toFixed(1)},${(94 - share * 92).toFixed(1)}`).join(' ');
  const grid = [25, 50, 75].map(share => s('line', { class: 'grid', x1: 0, x2: 600, y1: 94 - share * 0.92, y2: 94 - share * 0.92 }));
  $('spark').replaceChildren(...grid,
    s('polygon', { class: 'area', points: `${x(0).toFixed(1)},96 ${line} 600,96` }),
    s('polyline', { class: 'edge', points: line }));
  const [p50, p99, max] = loop.lag_us;
  $('p50').textContent = time(p50);
  $('p99').textContent = time(p99);
  $('max').textContent = time(max);
  if (!loop.counts) return;
  const { counts } = loop;
  $('turns').textContent = `${count(counts.turns)}/s`;
  $('runs').textContent = `${count(counts.runs)}/s`;
  $('events').textContent = `${count(counts.events)}/s`;
  $('armed').textContent = count(counts.timers.armed);
  $('next').textContent = counts.timers.next_ms === null ? '–' : time(counts.timers.next_ms * 1000);
  $('late').textContent = time(counts.timers.lag_us);
  $('pools').tBodies[0].replaceChildren(...counts.pools.map(pool => h('tr', {},
    h('td', {}, pool.name),
    h('td', {}, String(pool.threads)),
    h('td', {}, String(Math.max(0, pool.threads - pool.idle))),
    h('td', {}, String(pool.queued + pool.waiting)))));
  const rows = loop.places.map(place => {
    const bar = h('span', { class: 'bar' });
    bar.style.width = `${Math.max(1, place.share * 100)}%`;
    return h('tr', {},
      h('td', { class: 'code' }, place.at, bar),
      h('td', { class: 'number' }, `${count(place.runs)} runs`),
      h('td', { class: 'number' }, percent(place.share)));
  });
  if (rows.length || !$('places').tBodies[0].rows.length) {
    const none = h('tr', {}, h('td', { class: 'hint' }, 'No task has run.'));
    $('places').tBodies[0].replaceChildren(...(rows.length ? rows : [none]));
  }
}

// The timeline -----------------------------------------------------------------------------------

const turns = new Map();
let chosenTurn = null;

function noteTurns(loop, now) {
  const list = turns.get(loop.name) || [];
  for (const turn of loop.turns) list.push({ ...turn, at: now - turn.ago_ms });
  turns.set(loop.name, list.filter(turn => now - turn.at < TIMELINE_MS));
}

function showTimeline(loop, now) {
  const list = turns.get(loop.name) || [];
  const y = us => 146 - Math.max(3, Math.min(142, 142 * Math.log10(1 + us / 10) / 5));
  const marks = [[1000, '1 ms'], [100000, '100 ms']].flatMap(([us]) =>
    [s('line', { class: 'grid', x1: 0, x2: 1200, y1: y(us), y2: y(us) })]);
  const bars = list.map(turn => {
    const phase = turn.phases_us.indexOf(Math.max(...turn.phases_us));
    const width = Math.max(3, turn.busy_us / 1000 * 1200 / TIMELINE_MS);
    const x = 1200 - (now - turn.at) * 1200 / TIMELINE_MS;
    const bar = s('rect', { class: 'turn', x: x.toFixed(1), y: y(turn.busy_us).toFixed(1), width: width.toFixed(1), height: (146 - y(turn.busy_us)).toFixed(1), rx: 1 });
    bar.style.fill = color(phase);
    bar.classList.toggle('chosen', turn.n === chosenTurn);
    const text = describe(turn);
    bar.append(s('title', {}, text));
    bar.onclick = () => { chosenTurn = turn.n; $('turn-text').textContent = text; };
    return bar;
  });
  $('timeline').replaceChildren(...marks, ...bars);
  const slow = loop.slow.slice().reverse().slice(0, 5).map(run => {
    const task = run.task ? `task ${run.task}` : 'the main future';
    const at = run.at ? `, spawned at ${run.at}` : '';
    const head = `${time(run.ago_ms * 1000)} ago, ${task}${at}, ran for more than ${run.ms} ms`;
    const lines = run.lines.length ? run.lines.join('\n') : 'no sample was taken';
    return [head, lines];
  });
  // Only if it has changed: an open list stays open.
  const key = loop.slow.map(run => `${run.task}${run.ms}`).join();
  if ($('slow-runs').dataset.key !== key) {
    $('slow-runs').dataset.key = key;
    $('slow-runs').replaceChildren(...slow.map(([head, lines]) =>
      h('li', {}, h('details', {}, h('summary', {}, head), h('pre', {}, lines)))));
  } else {
    slow.forEach(([head], index) => { $('slow-runs').children[index].querySelector('summary').textContent = head; });
  }
}

function describe(turn) {
  let text = `Turn ${turn.n} worked for ${time(turn.busy_us)} in ${turn.runs} runs`;
  const longest = turn.longest;
  if (longest) {
    const task = longest.task ? `task ${longest.task}` : 'the main future';
    text += `; the longest, ${time(longest.us)}, was of ${task}`;
    if (longest.what) text += ` (${longest.what})`;
    if (longest.at) text += `, spawned at ${longest.at}`;
  }
  return `${text}.`;
}

// Tasks ------------------------------------------------------------------------------------------

const SIBLINGS_MAX = 12;
const opened = new Set();
let tasks = [];

function showTasks() {
  const loop = tasks.find(one => one.name === chosen);
  if (!loop) return;
  const children = new Map();
  const keys = new Set(loop.tasks.map(task => task.key));
  for (const task of loop.tasks) {
    const by = keys.has(task.by) ? task.by : '';
    children.set(by, [...(children.get(by) || []), task]);
  }
  const total = new Map(loop.sites.map(site => [site.at, site.tasks]));
  $('tree').replaceChildren(branch('', children, total, 0));
  const all = loop.sites.reduce((sum, site) => sum + site.tasks, 0);
  $('task-count').textContent = `${count(all)} on ${loop.name}`;
}

function branch(by, children, total, depth) {
  const list = h('ul', {});
  const places = new Map();
  for (const task of children.get(by) || []) places.set(task.at, [...(places.get(task.at) || []), task]);
  for (const [at, siblings] of places) {
    const items = siblings.map(task => leaf(task, children, total, depth));
    const unseen = Math.max(0, (total.get(at) || 0) - siblings.length);
    if (siblings.length + unseen <= SIBLINGS_MAX) {
      list.append(...items);
      continue;
    }
    const name = `${by}|${at}`;
    const details = h('details', { open: opened.has(name) ? '' : false },
      h('summary', {}, `${count(siblings.length + unseen)} tasks spawned at ${at}`),
      h('ul', {}, ...items, unseen ? h('li', { class: 'meta' }, `and ${count(unseen)} more`) : null));
    details.ontoggle = () => { if (details.open) opened.add(name); else opened.delete(name); };
    list.append(h('li', {}, details));
  }
  return list;
}

function leaf(task, children, total, depth) {
  const waits = task.waits && task.waits.length ? ` for ${task.waits.join(' and ')}` : '';
  const state = task.state === 'waits' ? `waits${waits}, ${time(task.ms * 1000)}` : task.state;
  const item = h('li', {},
    h('span', { class: `state ${task.state}` }),
    h('span', { class: 'what' }, task.what || `task ${task.key}`), ' ',
    h('span', { class: 'meta' }, `${task.key} · ${state} · ${task.at}`));
  if (children.has(task.key) && depth < 50) item.append(branch(task.key, children, total, depth + 1));
  return item;
}

// Connections ------------------------------------------------------------------------------------

function showConnections(list) {
  $('connections-card').hidden = false;
  $('connection-count').textContent = count(list.total);
  const act = (one, action) => h('button', {
    title: `${action} the connection from ${one.peer}`,
    onclick: () => post(`/connection?number=${one.number}&action=${action}`),
  }, action);
  $('connections').tBodies[0].replaceChildren(...list.shown.map(one => h('tr', { class: one.paused ? 'paused' : undefined },
    h('td', { class: 'code' }, one.peer),
    h('td', { class: 'number' }, bytes(one.received)),
    h('td', { class: 'number' }, bytes(one.sent)),
    h('td', { class: 'number' }, bytes(one.queued)),
    h('td', { class: 'number' }, time(one.age_ms * 1000)),
    h('td', {}, one.paused ? 'paused' : one.state),
    h('td', {}, act(one, one.paused ? 'resume' : 'pause'), act(one, 'close')))));
}

// Frames -----------------------------------------------------------------------------------------

let chosen = null;
let last = null;

function showLoops(loops) {
  if (!loops.some(loop => loop.name === chosen)) chosen = loops.length ? loops[0].name : null;
  const names = loops.map(loop => loop.name).join('\n');
  if ($('loops').dataset.names === names) return;
  $('loops').dataset.names = names;
  $('loops').replaceChildren(...(loops.length > 1 ? loops : []).map(loop => h('button', {
    'aria-current': loop.name === chosen ? 'true' : undefined,
    onclick: () => { chosen = loop.name; delete $('loops').dataset.names; $('tree').replaceChildren(); render(); showTasks(); },
  }, loop.name)));
}

function render() {
  if (!last || !phases.length) return;
  showLoops(last.loops);
  const loop = last.loops.find(one => one.name === chosen);
  if (loop) {
    showRing(loop);
    showLoad(loop);
    showTimeline(loop, last.at);
  }
  $('advice-list').replaceChildren(...last.advice.map(one => h('li', { class: one.weight }, one.text)));
}

function setLive(live, text) {
  $('live').classList.toggle('live', live);
  $('live-text').textContent = text;
}

const events = new EventSource('/events');
events.onopen = () => setLive(true, 'live');
events.onerror = () => setLive(false, 'not connected: the program has ended, or is busy');
events.addEventListener('hello', event => {
  const hello = JSON.parse(event.data);
  if (!phases.length) {
    phases = hello.phases;
    drawRing();
    requestAnimationFrame(movePointer);
  }
  $('program').textContent = hello.program;
  $('about').textContent = `process ${hello.pid} · Oneloop ${hello.version}`;
  document.title = `${hello.program} ${hello.pid} · Oneloop inspector`;
  $('connections-card').hidden = !hello.has_connections;
});
events.addEventListener('frame', event => {
  setLive(true, 'live');
  const now = performance.now();
  last = { ...JSON.parse(event.data), at: now };
  for (const loop of last.loops) {
    noteSpark(loop);
    noteTurns(loop, now);
  }
  render();
});
events.addEventListener('tasks', event => { tasks = JSON.parse(event.data); showTasks(); });
events.addEventListener('connections', event => showConnections(JSON.parse(event.data)));
