{
  const { element, legend, maximize, measured, objective, plotStyle, range, report, scored, section, short, trials } = globalThis.holdfast;
  const { Plot } = globalThis;

  const clamp = (value) => Math.min(range[1], Math.max(range[0], value));
  const describe = (trial) =>
    `trial ${trial.number} · ${trial.state}${trial.feasible === false ? ' · breaks metric_constraints' : ''}\n${objective.metric} ${measured(trial.value)}\n${Object.entries(
      trial.params,
    )
      .map(([name, value]) => `${name} ${short(value)}`)
      .join('\n')}`;
  globalThis.holdfast.describe = describe;

  /** A condition on metrics that was broken: such a trial is a ring, since its value is not the best, however good. */
  const broken = scored.filter((trial) => trial.feasible === false);
  const kept = scored.filter((trial) => trial.feasible !== false);
  const ring = { stroke: 'var(--trial)', strokeWidth: 1.4, fill: 'none' };
  const brokenEntry = broken.length ? [['ring', `breaks metric_constraints (${broken.length})`]] : [];
  const outside = scored.filter((trial) => clamp(trial.value) !== trial.value).length;
  const edge = measured(maximize ? range[0] : range[1]);

  let axis = 'number';
  const bestSoFar = (x) => {
    const order = [...scored].filter((trial) => trial.feasible !== false && x(trial) !== undefined).sort((a, b) => x(a) - x(b));
    let best;
    return order.map((trial) => {
      if (best === undefined || (maximize ? trial.value > best : trial.value < best)) best = trial.value;
      return { x: x(trial), y: clamp(best) };
    });
  };

  section(
    'Optimisation history',
    `Every trial's ${objective.metric} and the best so far; ${maximize ? 'higher' : 'lower'} is better.${
      outside === 0
        ? ''
        : ` ${outside} ${outside === 1 ? 'trial' : 'trials'} worse than ${edge} ${outside === 1 ? 'stands' : 'stand'} at the edge.`
    }`,
    (width) => {
      if (scored.length === 0)
        return element('p', { class: 'note' }, `No trial has a result${report.summary.status === 'running' ? ' yet' : ''}.`);
      const x = axis === 'number' ? (trial) => trial.number : (trial) => trial.end;
      const steps = bestSoFar(x);
      const failed = trials.filter((trial) => trial.state === 'failed' && x(trial) !== undefined);
      const pruned = trials.filter((trial) => trial.state === 'pruned' && x(trial) !== undefined);
      const few = scored.length <= 400;
      return element(
        'div',
        {},
        legend(
          ['var(--best)', 'best so far'],
          ['var(--trial)', 'trial'],
          ...brokenEntry,
          ...(pruned.length ? [['var(--pruned)', `pruned (${pruned.length})`]] : []),
          ...(failed.length ? [['var(--failed)', `failed (${failed.length})`]] : []),
        ),
        Plot.plot({
          width,
          height: Math.max(240, Math.min(380, width * 0.42)),
          marginTop: 30,
          marginLeft: 58,
          marginBottom: 42,
          style: plotStyle,
          ariaLabel: 'Optimisation history',
          x:
            axis === 'number'
              ? {
                  label: 'trial',
                  domain: [1, Math.max(2, trials.length)],
                  tickFormat: (value) => (Number.isInteger(value) ? short(value) : ''),
                }
              : { label: 'end of the trial', nice: true },
          y: { label: objective.metric, grid: true, domain: range, nice: true, ticks: 6, tickFormat: short },
          marks: [
            Plot.dot(kept, {
              x,
              y: (trial) => clamp(trial.value),
              r: few ? 4 : 2.2,
              fill: 'var(--trial)',
              fillOpacity: few ? 0.75 : 0.5,
            }),
            Plot.dot(broken, { x, y: (trial) => clamp(trial.value), r: few ? 4 : 2.2, ...ring }),
            Plot.tickX(failed, {
              x,
              stroke: 'var(--failed)',
              y: null,
              insetTop: Math.max(178, Math.min(318, width * 0.42 - 62)) - 12,
              strokeWidth: 2.5,
            }),
            Plot.tickX(pruned, {
              x,
              stroke: 'var(--pruned)',
              insetTop: Math.max(178, Math.min(318, width * 0.42 - 62)) - 8,
              strokeWidth: 2.5,
            }),
            Plot.line(steps, { x: 'x', y: 'y', stroke: 'var(--best)', strokeWidth: 2.4, curve: 'step-after' }),
            Plot.tip(
              scored,
              Plot.pointer({ x, y: (trial) => clamp(trial.value), title: describe, fill: 'var(--card)', stroke: 'var(--line)' }),
            ),
          ],
        }),
      );
    },
    (redraw) => {
      const select = element(
        'select',
        {
          onchange: (event) => {
            axis = event.target.value;
            redraw();
          },
        },
        element('option', { value: 'number' }, 'number of the trial'),
        element('option', { value: 'time' }, 'time'),
      );
      return [element('label', {}, 'Over', select)];
    },
  );

  if (report.summary.objectives.length > 1) {
    const [first, second] = report.summary.objectives;
    const volume = report.summary.hypervolume;
    const front = new Set(report.summary.pareto.map((trial) => trial.number));
    const both = trials.filter(
      (trial) =>
        trial.state === 'completed' && Number.isFinite(trial.values?.[first.metric]) && Number.isFinite(trial.values?.[second.metric]),
    );
    const isKept = (trial) => trial.feasible !== false;
    const x = (trial) => trial.values[first.metric];
    const y = (trial) => trial.values[second.metric];
    const best = both.filter((trial) => front.has(trial.number)).sort((a, b) => x(a) - x(b));
    section(
      'Pareto front',
      `Trials that no other beats in every objective. ${first.metric}: ${first.direction}; ${second.metric}: ${second.direction}.${
        volume === null
          ? ''
          : ` Hypervolume ${measured(volume.value)} up to ${Object.entries(volume.corner)
              .map(([name, value]) => `${name} ${measured(value)}`)
              .join(', ')}.`
      }`,
      (width) =>
        both.length === 0
          ? element('p', { class: 'note' }, `No trial has all results${report.summary.status === 'running' ? ' yet' : ''}.`)
          : element(
              'div',
              {},
              legend(['var(--best)', `on the front (${best.length})`], ['var(--trial)', 'other trials'], ...brokenEntry),
              Plot.plot({
                width,
                height: Math.max(240, Math.min(380, width * 0.42)),
                marginTop: 30,
                marginLeft: 58,
                marginBottom: 42,
                style: plotStyle,
                x: { label: first.metric, nice: true, grid: true, tickFormat: short },
                y: { label: second.metric, nice: true, grid: true, ticks: 6, tickFormat: short },
                marks: [
                  Plot.dot(both.filter(isKept), { x, y, r: 3.5, fill: 'var(--trial)', fillOpacity: 0.6 }),
                  Plot.dot(
                    both.filter((trial) => !isKept(trial)),
                    { x, y, r: 3.5, ...ring },
                  ),
                  Plot.line(best, { x, y, stroke: 'var(--best)', strokeWidth: 1.5, strokeDasharray: '4 3' }),
                  Plot.dot(best, { x, y, r: 5, fill: 'var(--best)', stroke: 'var(--card)' }),
                  Plot.tip(
                    both,
                    Plot.pointer({
                      x,
                      y,
                      title: (trial) => `${describe(trial)}\n${second.metric} ${measured(y(trial))}`,
                      fill: 'var(--card)',
                      stroke: 'var(--line)',
                    }),
                  ),
                ],
              }),
            ),
    );
  }

  if (Object.keys(report.importance).length > 0) {
    const entries = Object.entries(report.importance).sort((a, b) => b[1] - a[1]);
    section('Importance', 'How much of the variation of the objective each parameter explains.', (width) =>
      Plot.plot({
        width,
        height: 50 + 26 * entries.length,
        marginBottom: 42,
        marginLeft: Math.min(200, 20 + 7.5 * Math.max(...entries.map(([name]) => name.length))),
        style: plotStyle,
        x: { domain: [0, 1], label: 'share of the variance', tickFormat: (share) => `${Math.round(share * 100)} %`, ticks: 5, grid: true },
        y: { label: null, domain: entries.map(([name]) => name) },
        marks: [Plot.barX(entries, { x: '1', y: '0', fill: 'var(--trial)', rx: 3 })],
      }),
    );
  }
}
