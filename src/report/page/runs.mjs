{
  const { duration, element, legend, measured, objective, plotStyle, ranked, report, scored, section, sections, short, trials } =
    globalThis.holdfast;
  const { d3, Plot } = globalThis;

  const curves = trials.filter((trial) => trial.curve.length > 1);
  if (curves.length > 0) {
    const points = curves.flatMap((trial) => trial.curve.map(([step, value]) => ({ number: trial.number, step, value, trial })));
    const best = new Set(ranked.slice(0, 5).map((trial) => trial.number));
    const values = points
      .map((point) => point.value)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const quantile = (share) => d3.quantileSorted(values, share);
    const spread = quantile(0.98) - quantile(0.02) || 1;
    const domain = [Math.max(values[0], quantile(0.02) - spread / 2), Math.min(values.at(-1), quantile(0.98) + spread / 2)];
    section(
      'Learning curves',
      `${objective.metric} as the trainings reported it${report.curvesLeftOut > 0 ? `; the best and a sample of the others (${report.curvesLeftOut} are left out)` : ''}.`,
      (width) =>
        element(
          'div',
          {},
          legend(['var(--best)', 'five best'], ['var(--trial)', 'others']),
          Plot.plot({
            width,
            height: Math.max(240, Math.min(360, width * 0.4)),
            marginTop: 30,
            marginLeft: 58,
            marginBottom: 42,
            style: plotStyle,
            clip: true,
            x: { label: 'step (epoch)', nice: true },
            y: { label: objective.metric, grid: true, domain, nice: true, tickFormat: short },
            marks: [
              Plot.line(
                points.filter((point) => !best.has(point.number)),
                {
                  x: 'step',
                  y: 'value',
                  z: 'number',
                  stroke: 'var(--trial)',
                  strokeOpacity: curves.length > 60 ? 0.25 : 0.45,
                  strokeWidth: 1.2,
                  clip: true,
                },
              ),
              Plot.line(
                points.filter((point) => best.has(point.number)),
                { x: 'step', y: 'value', z: 'number', stroke: 'var(--best)', strokeWidth: 1.8, clip: true },
              ),
              Plot.tip(
                points,
                Plot.pointer({
                  x: 'step',
                  y: 'value',
                  title: (point) => `${globalThis.holdfast.describe(point.trial)}\nstep ${point.step}: ${measured(point.value)}`,
                  fill: 'var(--card)',
                  stroke: 'var(--line)',
                }),
              ),
            ],
          }),
        ),
    );
  }

  const bars = trials
    .filter((trial) => trial.end !== undefined && trial.run_seconds > 0)
    .map((trial) => ({
      trial,
      end: trial.end,
      start: trial.start ?? new Date(trial.end - trial.run_seconds * 1000),
      lane: trial.slot === null ? undefined : `${trial.pilot ?? ''} slot ${trial.slot}`.trim(),
    }));
  if (bars.length > 0) {
    bars.sort((a, b) => a.start - b.start);
    // Without a known slot a bar takes the first lane that is free at its start.
    const free = [];
    for (const bar of bars) {
      if (bar.lane !== undefined) continue;
      let index = free.findIndex((until) => until <= bar.start);
      if (index < 0) index = free.push(0) - 1;
      free[index] = bar.end;
      bar.lane = `lane ${index + 1}`;
    }
    const lanes = [...new Set(bars.map((bar) => bar.lane))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const names = lanes.length <= 60 ? lanes : undefined;
    const fill = { completed: 'var(--trial)', failed: 'var(--failed)', pruned: 'var(--pruned)', cancelled: 'var(--soft)' };
    section('Timeline of slots', 'What ran where. Gaps are idle slots.', (width) =>
      element(
        'div',
        {},
        legend(
          ...Object.entries(fill)
            .filter(([state]) => bars.some((bar) => bar.trial.state === state))
            .map(([state, colour]) => [colour, state]),
        ),
        Plot.plot({
          width,
          height: Math.min(700, 50 + lanes.length * (names ? 20 : 6)),
          marginLeft: names ? Math.min(190, 16 + 6.6 * Math.max(...lanes.map((lane) => lane.length))) : 20,
          style: plotStyle,
          x: { type: 'time', label: null, grid: true },
          y: { domain: lanes, label: null, axis: names ? 'left' : null, padding: 0.18 },
          marks: [
            Plot.barX(bars, {
              x1: 'start',
              x2: 'end',
              y: 'lane',
              fill: (bar) => fill[bar.trial.state] ?? 'var(--soft)',
              fillOpacity: 0.85,
              insetLeft: bars.length / lanes.length > width / 8 ? 0 : 0.5,
              insetRight: bars.length / lanes.length > width / 8 ? 0 : 0.5,
              rx: 2,
            }),
            Plot.tip(
              bars,
              Plot.pointer({
                x: (bar) => new Date((+bar.start + +bar.end) / 2),
                y: 'lane',
                title: (bar) => `${globalThis.holdfast.describe(bar.trial)}\nran ${duration(bar.trial.run_seconds)}`,
                fill: 'var(--card)',
                stroke: 'var(--line)',
              }),
            ),
          ],
          color: { type: 'identity' },
        }),
      ),
    );
  }

  /** A table with a row per entry, on a phone a paragraph per entry; `rows` gives class and content of each cell. */
  const table = (names, rows) =>
    element(
      'div',
      { class: 'scroll told' },
      element(
        'table',
        {},
        element(
          'thead',
          {},
          element(
            'tr',
            {},
            names.map((name) => element('th', {}, name)),
          ),
        ),
        element(
          'tbody',
          {},
          rows.map((cells) =>
            element(
              'tr',
              {},
              cells.map(([kind, content], index) => element('td', { class: kind, 'data-head': names[index] }, content)),
            ),
          ),
        ),
      ),
    );

  const reasoned = trials.filter((trial) => trial.origin === 'llm' && trial.note);
  if (reasoned.length > 0) {
    const place = new Map(ranked.map((trial, index) => [trial.number, index]));
    const placeOf = (trial) => place.get(trial.number) ?? Number.POSITIVE_INFINITY;
    // Infinity minus itself is no order.
    const order = (a, b) => (placeOf(a) === placeOf(b) ? a.number - b.number : placeOf(a) - placeOf(b));
    section(
      'What the language model said',
      `Why it proposed each of its ${reasoned.length} points, in its own words, the best trial first.`,
      () =>
        table(
          ['trial', objective.metric, 'reason'],
          reasoned.sort(order).map((trial) => [
            ['number-cell', String(trial.number)],
            ['number-cell', trial.state === 'completed' ? measured(trial.value) : trial.state],
            ['words', trial.note],
          ]),
        ),
    );
  }

  if (report.summary.failures.length > 0) {
    section('Failures', 'By class, with the first message of each and what to do about it.', () =>
      table(
        ['class', 'trials', 'first message', 'what to do'],
        report.summary.failures.map((failure) => [
          ['state-failed', failure.class],
          ['number-cell', String(failure.count)],
          ['words', failure.example],
          ['words', failure.advice],
        ]),
      ),
    );
    // Where nothing came out, why is what the reader looks for.
    if (scored.length === 0) sections.unshift(sections.pop());
  }
}
