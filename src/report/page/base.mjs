/* What the page's parts share. Runs in the reader's browser, with d3 and Plot as globals and the data in #data; nothing is fetched. */
{
  const report = JSON.parse(document.getElementById('data').textContent);
  const objective = report.summary.objectives[0];
  const maximize = objective.direction === 'maximize';

  /** An element with attributes and children; text never becomes markup. */
  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? '' : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return node;
  };

  const measured = (value) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
    return size >= 1000 ? value.toFixed(0) : value.toPrecision(4);
  };
  const short = (value) => {
    if (value === null || value === undefined) return '–';
    if (typeof value !== 'number') return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
    const size = Math.abs(value);
    return size < 1e-3 || size >= 1e6
      ? value
          .toExponential(3)
          .replace(/\.?0+e/, 'e')
          .replace('e+', 'e')
      : String(Number(value.toPrecision(4)));
  };
  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return '–';
    const units = [
      ['d', 86400],
      ['h', 3600],
      ['min', 60],
      ['s', 1],
    ];
    const whole = Math.round(seconds);
    const first = units.findIndex(([, size]) => whole >= size);
    if (first < 0) return `${Math.round(seconds * 10) / 10} s`;
    const count = Math.floor(whole / units[first][1]);
    const rest = units[first + 1] ? Math.floor((whole - count * units[first][1]) / units[first + 1][1]) : 0;
    return rest ? `${count} ${units[first][0]} ${rest} ${units[first + 1][0]}` : `${count} ${units[first][0]}`;
  };

  const trials = report.trials.map((trial) => ({
    ...trial,
    value: trial.state === 'completed' && trial.values ? trial.values[objective.metric] : undefined,
    start: trial.started_at ? new Date(trial.started_at) : undefined,
    end: trial.finished_at ? new Date(trial.finished_at) : undefined,
  }));
  const scored = trials.filter((trial) => Number.isFinite(trial.value));
  const ranked = scored
    .filter((trial) => trial.feasible !== false)
    .sort((a, b) => (maximize ? b.value - a.value : a.value - b.value) || a.number - b.number);

  /** The worst value worth drawing: one diverged training must not flatten every chart. */
  const sorted = scored.map((trial) => trial.value).sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  let range = [sorted[0] ?? 0, sorted.at(-1) ?? 1];
  if (sorted.length >= 10) {
    range = maximize
      ? [Math.max(range[0], range[1] - 2 * (range[1] - at(0.1))), range[1]]
      : [range[0], Math.min(range[1], range[0] + 2 * (at(0.9) - range[0]))];
  }
  if (range[0] === range[1]) range = [range[0] - 0.5, range[1] + 0.5];

  const sections = [];
  /** Adds a section; `draw(width)` returns its content, again at every new width, or null when there is nothing to show. */
  const section = (title, explanation, draw, controls) => sections.push({ title, explanation, draw, controls });

  /** Common options of Plot's charts. */
  const plotStyle = { background: 'transparent', color: 'var(--ink)', fontSize: '12px', fontFamily: 'inherit', overflow: 'visible' };
  const legend = (...entries) =>
    element(
      'div',
      { class: 'legend' },
      entries.map(([colour, words]) =>
        element('span', {}, element('i', colour === 'ring' ? { class: 'ring' } : { style: `background:${colour}` }), words),
      ),
    );

  globalThis.holdfast = {
    report,
    objective,
    maximize,
    element,
    measured,
    short,
    duration,
    trials,
    scored,
    ranked,
    range,
    sections,
    section,
    plotStyle,
    legend,
  };
}
