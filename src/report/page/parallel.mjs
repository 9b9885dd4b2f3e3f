{
  const { element, maximize, objective, plotStyle, range, ranked, report, section, short } = globalThis.holdfast;
  const { d3, Plot } = globalThis;

  const parameters = report.parameters.filter((parameter) => parameter.type !== 'constant');

  /** A d3 scale from a parameter to pixels; inactive values (a conditional parameter) have a place of their own at the end. */
  const scaleOf = (parameter, extent) => {
    if (parameter.type === 'float' || parameter.type === 'int') {
      const values = ranked.map((trial) => trial.params[parameter.name]).filter((value) => typeof value === 'number');
      const domain = [Math.min(parameter.min, ...values), Math.max(parameter.max, ...values)];
      if (domain[0] === domain[1]) domain[1] += 1;
      return parameter.log && domain[0] > 0 ? d3.scaleLog(domain, extent) : d3.scaleLinear(domain, extent);
    }
    return d3.scalePoint(parameter.values.map(String), extent).padding(0.3);
  };
  const place = (scale, parameter, value) => (parameter.values ? scale(String(value)) : scale(value));
  /** Ticks of a log axis: powers of ten, and 1-2-5 steps where the axis spans few decades. */
  const logTicks = ([low, high]) => {
    const decades = Math.log10(high / low);
    const steps = decades > 2.2 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of steps) ticks.push(Number(`${step}e${power}`));
    }
    return ticks
      .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001)
      .filter((_, index, all) => all.length <= 7 || index % Math.ceil(all.length / 7) === 0);
  };
  const theme = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const spread = (shown) => {
    const values = shown.map((trial) => Math.min(range[1], Math.max(range[0], trial.value)));
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? range : [low, high];
  };

  let keep = Math.min(ranked.length, 200);
  let brushes = new Map();

  if (ranked.length >= 2 && parameters.length > 0) {
    section(
      'Parallel coordinates',
      'One line per trial, from parameter to parameter to the objective. Drag along an axis to keep only the trials that pass there; click an axis to let go.',
      (width) => {
        const axes = [...parameters, { name: objective.metric, type: 'objective' }];
        const inner = Math.max(width, 60 + 104 * (axes.length - 1) + 60);
        const height = 380;
        const top = 46;
        const bottom = height - 34;
        const x = d3.scalePoint(
          axes.map((_, index) => index),
          [46, inner - 66],
        );
        const shown = ranked.slice(0, keep);
        const seen = spread(shown);
        const colour = d3
          .scaleSequential(maximize ? seen : [seen[1], seen[0]], d3.interpolateLab(theme('--trial'), theme('--best')))
          .clamp(true);
        const scales = axes.map((axis) =>
          axis.type === 'objective' ? d3.scaleLinear(seen, [bottom, top]).nice().clamp(true) : scaleOf(axis, [bottom, top]),
        );
        const yOf = (trial, index) => {
          const axis = axes[index];
          if (axis.type === 'objective') return scales[index](trial.value);
          const value = trial.params[axis.name];
          return value === undefined ? bottom + 18 : place(scales[index], axis, value);
        };
        const svg = d3
          .create('svg')
          .attr('width', inner)
          .attr('height', height)
          .attr('viewBox', [0, 0, inner, height])
          .attr('font-size', 11.5);
        const lines = svg
          .append('g')
          .attr('fill', 'none')
          .selectAll('path')
          .data([...shown].reverse())
          .join('path')
          .attr('d', (trial) => d3.line()(axes.map((_, index) => [x(index), yOf(trial, index)])))
          .attr('stroke', (trial) => colour(trial.value))
          .attr('stroke-width', (trial) => (trial === ranked[0] ? 3 : 1.4))
          .attr('stroke-opacity', shown.length > 300 ? 0.35 : 0.75);
        lines.append('title').text(globalThis.holdfast.describe);

        const passes = (trial) => [...brushes].every(([index, [low, high]]) => yOf(trial, index) >= low && yOf(trial, index) <= high);
        const fade = () => lines.attr('display', (trial) => (passes(trial) ? null : 'none'));
        axes.forEach((axis, index) => {
          const group = svg.append('g').attr('transform', `translate(${x(index)},0)`);
          const scale = scales[index];
          const ticks = axis.values
            ? d3.axisLeft(scale)
            : axis.log
              ? d3.axisLeft(scale).ticks(4).tickFormat(short)
              : d3.axisLeft(scale).ticks(5).tickFormat(short);
          if (axis.log) ticks.tickValues(logTicks(scale.domain()));
          else if (axis.type === 'int') ticks.tickValues(scale.ticks(5).filter(Number.isInteger));
          group.call(axis.type === 'objective' ? d3.axisRight(scale).ticks(5).tickFormat(short) : ticks);
          group
            .selectAll('.tick text')
            .attr('paint-order', 'stroke')
            .attr('stroke', 'var(--card)')
            .attr('stroke-width', 4)
            .attr('fill', 'var(--ink)');
          if (shown.some((trial) => axis.type !== 'objective' && trial.params[axis.name] === undefined)) {
            group
              .append('text')
              .attr('y', bottom + 22)
              .attr('x', -8)
              .attr('text-anchor', 'end')
              .attr('fill', 'var(--soft)')
              .text('not used');
          }
          const label = axis.name.length > 15 ? `${axis.name.slice(0, 14)}…` : axis.name;
          group
            .append('text')
            .attr('class', 'axis-name')
            .attr('y', index % 2 === 0 || width > 120 * axes.length ? 30 : 14)
            .attr('text-anchor', 'middle')
            .attr('fill', 'var(--ink)')
            .text(label)
            .append('title')
            .text(axis.name);
          const brush = d3
            .brushY()
            .extent([
              [-14, top - 4],
              [14, bottom + 22],
            ])
            .on('brush end', (event) => {
              if (event.selection) brushes.set(index, event.selection);
              else brushes.delete(index);
              fade();
            });
          group.append('g').call(brush);
        });
        brushes = new Map();
        return svg.node();
      },
      (redraw) => {
        const label = element('span', {}, `${keep} of ${ranked.length}`);
        const slider = element('input', {
          type: 'range',
          min: 1,
          max: ranked.length,
          value: keep,
          'aria-label': 'How many of the best trials',
          oninput: (event) => {
            keep = Number(event.target.value);
            label.textContent = `${keep} of ${ranked.length}`;
            redraw();
          },
        });
        return [element('label', {}, 'Best', slider, label)];
      },
    );
  }

  const sliced = parameters.filter((parameter) => new Set(ranked.map((trial) => trial.params[parameter.name])).size > 1);
  if (sliced.length > 0) {
    section('Slices', `${objective.metric} over each parameter; later trials are stronger, the best is orange.`, () => {
      const grid = element('div', { class: 'slices' });
      const last = Math.max(...ranked.map((trial) => trial.number));
      const fit = ranked.filter((trial) => trial.value >= range[0] && trial.value <= range[1]);
      for (const parameter of sliced) {
        const own = fit.filter((trial) => trial.params[parameter.name] !== undefined);
        const numeric = parameter.type === 'float' || parameter.type === 'int';
        const log = numeric && parameter.log;
        const x = (trial) => (numeric ? trial.params[parameter.name] : String(trial.params[parameter.name]));
        const marks = {
          x,
          y: 'value',
          fill: 'var(--trial)',
          r: own.length > 400 ? 1.8 : 3.2,
          fillOpacity: (trial) => 0.25 + 0.65 * (trial.number / last),
        };
        grid.append(
          element(
            'div',
            {},
            element('h3', {}, parameter.name),
            Plot.plot({
              width: 290,
              height: 190,
              marginLeft: 48,
              marginRight: 14,
              style: { ...plotStyle, maxWidth: '100%' },
              x: numeric
                ? {
                    type: log ? 'log' : 'linear',
                    label: null,
                    ...(log
                      ? { ticks: logTicks([Math.min(...own.map(x)), Math.max(...own.map(x))]), tickFormat: short }
                      : { ticks: 4, tickFormat: (value) => (parameter.type === 'int' && !Number.isInteger(value) ? '' : short(value)) }),
                  }
                : {
                    type: 'point',
                    label: null,
                    domain: parameter.values.map(String),
                    padding: 0.6,
                    tickRotate: parameter.values.some((value) => String(value).length > 6) && parameter.values.length > 3 ? -20 : 0,
                  },
              y: { label: null, domain: range, nice: true, ticks: 4, tickFormat: short, grid: true },
              marks: [
                Plot.dot(own, marks),
                Plot.dot(
                  own.filter((trial) => trial === ranked[0]),
                  { x, y: 'value', r: 6, fill: 'var(--best)', stroke: 'var(--card)' },
                ),
                Plot.tip(
                  own,
                  Plot.pointer({ x, y: 'value', title: globalThis.holdfast.describe, fill: 'var(--card)', stroke: 'var(--line)' }),
                ),
              ],
            }),
          ),
        );
      }
      return grid;
    });
  }
}
