/* Puts the page together: head, numbers, best configuration, the sections that the other parts added, provenance. */
{
  const { duration, element, measured, objective, ranked, report, sections, short } = globalThis.holdfast;
  const { summary } = report;
  const main = document.querySelector('main');
  const best = summary.best;
  const { counts } = summary;
  const number = (value, words, style = '') =>
    element('div', { class: `number ${style}` }, element('b', {}, value), element('span', {}, words));
  const ended = counts.completed + counts.pruned + counts.failed + counts.cancelled;
  const local = (instant) => new Date(instant).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

  main.append(
    element(
      'header',
      {},
      element('h1', {}, summary.campaign, element('span', { class: `pill ${summary.status}` }, summary.status)),
      element(
        'p',
        {},
        [summary.name === summary.campaign ? null : summary.name, summary.description, summary.stop_reason].filter(Boolean).join(' · '),
      ),
      element(
        'p',
        {},
        `${local(summary.started_at)} to ${local(summary.ended_at)} · system ${summary.system.name} · sampler ${summary.sampler}, seed ${summary.seed}`,
      ),
      summary.synthetic_trials > 0
        ? element(
            'p',
            { class: 'warning' },
            `${summary.synthetic_trials} of ${counts.total} trials trained on synthetic data: the values say nothing about the real data set.`,
          )
        : null,
      element(
        'div',
        { class: 'numbers' },
        number(
          best ? measured(best.values[objective.metric]) : '–',
          best
            ? `best ${objective.metric}, trial ${best.number}${best.synthetic ? ' (synthetic data)' : ''}`
            : `no ${objective.metric}${summary.status === 'running' ? ' yet' : ''}`,
          'best',
        ),
        number(
          String(ended),
          `trials ended${counts.failed ? `, ${counts.failed} failed` : ''}${counts.pruned ? `, ${counts.pruned} pruned` : ''}`,
        ),
        number(duration(summary.elapsed_seconds), 'from start to end'),
        number(duration(summary.training_seconds), 'of training, all slots together'),
        summary.node_hours === null ? null : number(measured(summary.node_hours), 'node-hours'),
        summary.early_stopping === null
          ? null
          : summary.early_stopping.saved_node_hours === null
            ? number(measured(summary.early_stopping.saved_slot_hours), 'slot-hours saved by early stopping')
            : number(measured(summary.early_stopping.saved_node_hours), 'node-hours saved by early stopping'),
        summary.utilisation === null ? null : number(`${Math.round(summary.utilisation * 100)} %`, 'of the slot time was training'),
        summary.improvement === null || ranked.length < 2
          ? null
          : number(`${summary.improvement >= 0 ? '+' : ''}${measured(summary.improvement)}`, 'better than the first trial'),
      ),
    ),
  );

  if (best) {
    const table = element(
      'dl',
      {},
      Object.entries(best.params).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, short(value))]),
    );
    const yaml = `# ${summary.campaign}, trial ${best.number}: ${objective.metric} ${best.values[objective.metric]}${best.synthetic ? ' (synthetic data)' : ''}\n${Object.entries(
      best.params,
    )
      .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
      .join('\n')}`;
    const copy = element(
      'button',
      {
        onclick: async (event) => {
          await navigator.clipboard?.writeText(yaml);
          event.target.textContent = 'Copied';
        },
      },
      'Copy',
    );
    const statistics = summary.statistics[objective.metric];
    main.append(
      element(
        'section',
        {},
        element('h2', {}, 'Best configuration'),
        element(
          'p',
          {},
          `Trial ${best.number}, proposed by ${best.origin}${statistics ? `. Completed trials: mean ${measured(statistics.mean)}, standard deviation ${measured(statistics.std)}, median ${measured(statistics.median)}` : ''}.`,
        ),
        element('div', { class: 'two' }, table, element('div', {}, element('pre', {}, yaml), element('p', { class: 'note' }, copy))),
      ),
    );
  }
  if (summary.problems.length > 0)
    main.append(
      element(
        'section',
        {},
        element('h2', {}, 'Needs attention'),
        element(
          'ul',
          {},
          summary.problems.map((problem) => element('li', {}, problem)),
        ),
      ),
    );

  const drawn = new Map();
  const fill = ({ draw, host }) => {
    host.replaceChildren(...[draw(Math.max(280, host.clientWidth))].filter(Boolean));
  };
  globalThis.holdfast.redraw = (title) => fill(drawn.get(title));
  for (const { title, explanation, draw, controls } of sections) {
    const host = element('div', { class: 'chart' });
    const entry = { draw, host };
    drawn.set(title, entry);
    main.append(
      element(
        'section',
        {},
        element('h2', {}, title),
        element('p', {}, explanation),
        controls
          ? element(
              'div',
              { class: 'controls' },
              controls(() => fill(entry)),
            )
          : null,
        host,
      ),
    );
  }
  for (const entry of drawn.values()) fill(entry);

  const facts = {
    ...(summary.launch ? { launch: summary.launch } : {}),
    'trials by origin': Object.entries(summary.origins)
      .map(([name, { trials }]) => `${name} ${trials}`)
      .join(', '),
    ...summary.provenance,
  };
  main.append(
    element(
      'section',
      {},
      element('h2', {}, 'Provenance'),
      element('p', {}, 'What is needed to make this again.'),
      element(
        'dl',
        {},
        Object.entries(facts).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
      ),
    ),
    element(
      'footer',
      {},
      `Made by Holdfast from the campaign's history. ${ranked.length} of ${report.trials.length} ${report.trials.length === 1 ? 'trial has' : 'trials have'} a valid result.`,
    ),
  );

  let width = main.clientWidth;
  let timer;
  addEventListener('resize', () => {
    if (main.clientWidth === width) return;
    width = main.clientWidth;
    clearTimeout(timer);
    timer = setTimeout(() => {
      for (const entry of drawn.values()) fill(entry);
    }, 150);
  });
}
