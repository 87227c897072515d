'use strict';
// The page of future masks: draws the videos from the data in the page.

const data = JSON.parse(document.getElementById('data').textContent);
const find = (id) => document.getElementById(id);
const FRAMES_PER_SECOND = 6;
const HOLD = 8; // how many frames the last one is held before the film starts again
const PARTS = [
  ['right', 'right'], ['missed', 'missed'], ['invented', 'invented'], ['other', 'another object'],
];
const THEMES = ['light dark', 'light', 'dark'];

/** Return a new element with text and attributes; text is never read as HTML. */
function make(tag, text = '', attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Drawing. A canvas has as many pixels as the screen shows, so lines are sharp.

const themeColor = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();
const partColors = ['#000000', ...PARTS.map(([name]) => themeColor(name))];
const state = { video: 0, row: 0, frame: 0, playing: false, film: null };
const decoded = new Map();

function video() { return data.videos[state.video]; }

/** Return the masks of a video: decoded once, then kept. */
function masksOf(index) {
  if (!decoded.has(index)) {
    const { width, height, truth, rows } = data.videos[index];
    const wanted = decode(truth, width * height);
    const given = rows.map((row) => decode(row.mask, width * height));
    decoded.set(index, {
      truth: wanted, rows: given, wrong: given.map((mask) => compare(mask, wanted)),
    });
  }
  return decoded.get(index);
}

/** Return the layer of a row, -1 for the truth, that is drawn over the last frame; null for none. */
function layerOf(index, row, kind) {
  const { width, height } = data.videos[index];
  const masks = masksOf(index);
  if (kind === 'wrong' && row >= 0) return tint(masks.wrong[row], width, height, partColors, 120);
  if (kind === 'none') return null;
  const mask = kind === 'true' || row < 0 ? masks.truth : masks.rows[row];
  return tint(mask, width, height, data.colors, 150);
}

/** Draw a frame of a film, and return the context, whose units are pixels of the film. */
function drawFrame(canvas, index, film, frame, layer) {
  const { width, height } = data.videos[index];
  const shown = canvas.clientWidth || width;
  const pixels = Math.round(shown * (window.devicePixelRatio || 1));
  canvas.width = pixels;
  canvas.height = Math.round(pixels * height / width);
  const context = canvas.getContext('2d');
  context.scale(pixels / width, canvas.height / height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(film, 0, frame * height, width, height, 0, 0, width, height);
  if (layer) {
    context.imageSmoothingEnabled = false;
    context.drawImage(layer, 0, 0, width, height);
  }
  return context;
}

/** Draw predicted paths: thin as a whole, thick up to the frame, with a ring where it is, and at
    last dots where it may be instead. */
function drawPaths(context, paths, step) {
  context.lineJoin = context.lineCap = 'round';
  for (const { class: id, points, futures, shares } of paths) {
    const line = (end, width, color) => {
      context.beginPath();
      points.slice(0, end).forEach(([x, y]) => context.lineTo(x, y));
      context.lineWidth = width;
      context.strokeStyle = color;
      context.stroke();
    };
    context.globalAlpha = 0.3 + 0.7 * Math.max(...shares);
    line(points.length, 2.6, '#0008');
    line(points.length, 1.1, '#fffc');
    line(step, 2.1, data.colors[id]);
    const dot = ([x, y], radius, color) => {
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fillStyle = color;
      context.fill();
    };
    for (const place of points) dot(place, 1.1, '#fff');
    if (step >= points.length) {
      for (const place of futures) {
        dot(place, 1.5, '#000a');
        dot(place, 0.9, data.colors[id]);
      }
    }
    const place = points[Math.min(step, points.length) - 1];
    if (step < 1 || !place) continue;
    context.globalAlpha = 0.25 + 0.75 * shares[Math.min(step, points.length) - 1];
    for (const [width, color] of [[3.4, '#000a'], [1.8, '#fff']]) {
      context.beginPath();
      context.arc(...place, 4.6, 0, 7);
      context.lineWidth = width;
      context.strokeStyle = color;
      context.stroke();
    }
  }
  context.globalAlpha = 1;
}

/** Write the numbers of the objects in the list beside them. */
function drawNumbers(context, objects, width) {
  const radius = width / 44;
  context.font = `600 ${radius * 1.35}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  objects.forEach(({ x, y, either }, index) => {
    context.beginPath();
    context.arc(x / either, y / either, radius, 0, 7);
    context.fillStyle = '#111d';
    context.fill();
    context.fillStyle = '#fff';
    context.fillText(index + 1, x / either, y / either + radius * 0.08);
  });
}

const layerName = () => document.querySelector('[name=layer]:checked').value;

function drawStage() {
  if (!state.film) return;
  const { rows, count, first, width } = video();
  const last = state.frame === count - 1;
  const layer = last ? layerOf(state.video, state.row, layerName()) : null;
  const context = drawFrame(find('stage'), state.video, state.film, state.frame, layer);
  const { paths } = rows[state.row];
  const number = first + state.frame;
  if (find('paths').checked) drawPaths(context, paths, Math.max(number - data.known, 0));
  if (last && layerName() === 'wrong') drawNumbers(context, state.objects, width);
  const known = number <= data.known;
  find('frame').value = state.frame;
  find('frame-name').textContent = `frame ${number} · ${known ? 'known' : 'to be predicted'}`;
  find('frame').setAttribute('aria-valuetext', find('frame-name').textContent);
}

// What is beside the stage.

function showFacts() {
  const { rows, causes } = video();
  const masks = masksOf(state.video);
  state.objects = measure(masks.rows[state.row], masks.truth, video().width);
  const counts = [0, 0, 0, 0, 0];
  masks.wrong[state.row].forEach((part) => { counts[part] += 1; });
  find('legend').replaceChildren(...PARTS.map(([name, text], index) => {
    const item = make('li');
    const dot = make('span', '', { class: 'dot' });
    dot.style.background = `var(--${name})`;
    item.append(dot, `${text} ${counts[index + 1].toLocaleString('en')} px`);
    return item;
  }));
  find('objects').replaceChildren(...state.objects.map((object, index) => {
    const line = make('tr');
    const name = make('th', '', { scope: 'row' });
    const dot = make('span', '', { class: 'dot' });
    dot.style.background = data.colors[object.id];
    name.append(`${index + 1}  `, dot, data.names[object.id]);
    const fault = !object.wanted ? 'invented' : !object.given ? 'not predicted' : '';
    const cause = causes[object.id] ?? '';
    line.append(
      name,
      make('td', object.overlap.toFixed(2), { class: 'number', title: 'Jaccard index' }),
      make('td', [fault, cause && `lost to ${cause}`].filter(Boolean).join(', ')),
    );
    return line;
  }));
  const title = data.rows[state.row];
  const score = rows[state.row].score.toFixed(2);
  find('row-name').textContent = `${title}: ${score}`;
  find('paths-label').hidden = !rows.some(({ paths }) => paths.length);
  find('paths').disabled = !rows[state.row].paths.length;
  find('stage').setAttribute('aria-label', `${video().name}, ${title}, score ${score}`);
  find('status').textContent = `${video().name}, ${title}, score ${score}`;
}

function markShown() {
  document.querySelectorAll('#matrix tbody td').forEach((cell) => {
    const { video: index, row } = cell.firstChild.dataset;
    const shown = Number(index) === state.video && Number(row) === state.row;
    cell.classList.toggle('shown', shown);
    cell.firstChild.tabIndex = shown ? 0 : -1;
  });
  document.querySelectorAll('#matrix thead button').forEach((button, index) => {
    button.setAttribute('aria-pressed', index === state.video);
  });
  document.querySelectorAll('.method:not(.truth)').forEach((button, index) => {
    button.setAttribute('aria-checked', index === state.row);
    button.tabIndex = index === state.row ? 0 : -1;
  });
}

/** Show the rows of the table for this video, after the frame and the true mask. */
function showRows() {
  const film = state.film;
  const parts = [-1, ...data.rows.keys()].map((row) => {
    const button = row < 0 ? make('div', '', { class: 'method truth' })
      : make('button', '', { class: 'method', type: 'button', role: 'radio', 'data-row': row });
    const text = make('span');
    text.append(make('strong', row < 0 ? 'The truth' : data.rows[row]));
    if (row < 0) text.append(make('small', 'the frame, and its true mask'));
    else text.append(make('em', video().rows[row].score.toFixed(2)));
    const pictures = ['none', row < 0 ? 'true' : 'predicted'];
    if (row >= 0) pictures[0] = 'wrong';
    const canvases = pictures.map(() => make('canvas'));
    button.append(text, ...canvases);
    return [button, canvases, pictures, row];
  });
  find('methods').replaceChildren(...parts.map(([button]) => button));
  for (const [, canvases, pictures, row] of parts) {
    canvases.forEach((canvas, index) => {
      const layer = layerOf(state.video, row, pictures[index]);
      drawFrame(canvas, state.video, film, video().count - 1, layer);
    });
  }
}

/** Show a row of a video: its last frame, unless the film plays. */
async function show(index, row) {
  const changed = index !== state.video || !state.film;
  [state.video, state.row] = [index, row];
  if (changed) {
    state.film = null;
    const film = make('img');
    film.src = video().film;
    await film.decode();
    if (index !== state.video) return; // another video was chosen meanwhile
    state.film = film;
    const { count, first } = video();
    if (!state.playing) state.frame = count - 1;
    state.frame = Math.min(state.frame, count - 1);
    find('frame').max = count - 1;
    const known = (data.known - first + 0.5) / (count - 1);
    find('frame').style.setProperty('--known', Math.min(Math.max(known, 0), 1));
    find('video-name').textContent = video().name;
    showRows();
  }
  showFacts();
  markShown();
  drawStage();
}

function step(by) {
  play(false);
  state.frame = Math.min(Math.max(state.frame + by, 0), video().count - 1);
  drawStage();
}

let timer = 0;
function play(on) {
  state.playing = on;
  clearInterval(timer);
  find('play').classList.toggle('playing', on);
  find('play').setAttribute('aria-label', on ? 'Pause' : 'Play');
  if (!on) return;
  let tick = state.frame === video().count - 1 ? 0 : state.frame;
  timer = setInterval(() => {
    state.frame = Math.min(tick, video().count - 1);
    drawStage();
    tick = (tick + 1) % (video().count + HOLD);
  }, 1000 / FRAMES_PER_SECOND);
}

/** Lay out the scores of all rows, in the table's order, in all videos. */
function buildMatrix() {
  const head = make('tr');
  head.append(make('td'));
  data.videos.forEach(({ name, film, width, height, count }, index) => {
    const cell = make('th', '', { scope: 'col' });
    const canvas = make('canvas', '', { width: 136, height: Math.round(136 * height / width) });
    const button = make('button', '', { type: 'button', title: name });
    button.append(canvas, name.replace(/^video_0*(?=\d)/, ''));
    button.addEventListener('click', () => show(index, state.row));
    const picture = make('img');
    picture.src = film;
    picture.decode().then(() => canvas.getContext('2d').drawImage(
      picture, 0, (count - 1) * height, width, height, 0, 0, canvas.width, canvas.height,
    ));
    cell.append(button);
    head.append(cell);
  });
  const lines = data.rows.map((title, row) => {
    const line = make('tr');
    line.append(make('th', title, { scope: 'row' }));
    data.videos.forEach(({ name, rows }, index) => {
      const cell = make('td');
      const score = rows[row].score;
      const button = make('button', score.toFixed(2), {
        type: 'button', 'data-video': index, 'data-row': row, title: `${title}, ${name}`,
      });
      button.style.setProperty('--score', score);
      cell.append(button);
      line.append(cell);
    });
    return line;
  });
  const top = make('thead');
  top.append(head);
  const body = make('tbody');
  body.append(...lines);
  find('matrix').append(top, body);
}

// The mouse and the keyboard.

function wrap(value, count) { return (value + count) % count; }

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches('#frame, [name=layer]')) return;
  if (key === '[' || key === ']') {
    show(wrap(state.video + (key === '[' ? -1 : 1), data.videos.length), state.row);
    return;
  }
  const inMatrix = target.closest('#matrix tbody td');
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (arrow && inMatrix) {
    const index = wrap(state.video + arrow[0], data.videos.length);
    const row = wrap(state.row + arrow[1], data.rows.length);
    show(index, row);
    document.querySelector(`#matrix [data-video="${index}"][data-row="${row}"]`).focus();
  } else if (arrow && arrow[1] && target.closest('.method')) {
    show(state.video, wrap(state.row + arrow[1], data.rows.length));
    document.querySelectorAll('.method:not(.truth)')[state.row].focus();
  } else if (arrow && arrow[0]) {
    step(arrow[0]);
  } else if (key === ' ' && !target.matches('button, input, summary')) {
    play(!state.playing);
  } else return;
  event.preventDefault();
}

/** Go to the video, and the row, that a button names. */
function onClick(event) {
  const button = event.target.closest('button[data-video], button[data-row]');
  if (!button) return;
  const { video: index = state.video, row = state.row } = button.dataset;
  show(Number(index), Number(row));
  if (!button.closest('#viewer')) find('matrix').scrollIntoView({ block: 'start' });
}

function start() {
  find('viewer').hidden = false;
  buildMatrix();
  document.addEventListener('click', onClick);
  document.addEventListener('keydown', onKey);
  find('previous').addEventListener('click', () => show(
    wrap(state.video - 1, data.videos.length), state.row,
  ));
  find('next').addEventListener('click', () => show(
    wrap(state.video + 1, data.videos.length), state.row,
  ));
  find('play').addEventListener('click', () => play(!state.playing));
  find('frame').addEventListener('input', (event) => step(event.target.value - state.frame));
  find('paths').addEventListener('change', drawStage);
  find('layers').addEventListener('change', () => step(video().count)); // masks are of the last
  let width = 0;
  new ResizeObserver(() => {
    if (!state.film || width === find('stage').clientWidth) return;
    width = find('stage').clientWidth;
    drawStage();
    showRows();
    markShown();
  }).observe(find('stage'));
  show(0, 0);
}

const theme = find('theme');
theme.hidden = false;
theme.textContent = 'Theme: system';
theme.addEventListener('click', () => {
  const next = (Number(theme.dataset.number ?? 0) + 1) % THEMES.length;
  theme.dataset.number = next;
  document.documentElement.style.colorScheme = THEMES[next];
  theme.textContent = `Theme: ${next ? THEMES[next] : 'system'}`;
});
if (data.videos) start();
