{
  const { duration, element, measured, ranked, report, section, short, trials } = globalThis.holdfast;

  const best = ranked[0]?.number;
  const stateText = (trial) => (trial.feasible === false ? `${trial.state}, breaks metric_constraints` : trial.state);
  const metrics = report.summary.objectives.map((objective) => objective.metric);
  const columns = [
    { name: 'trial', number: true, value: (trial) => trial.number, text: (trial) => String(trial.number) },
    { name: 'state', value: (trial) => trial.state, text: stateText, style: (trial) => `state-${trial.state}` },
    ...metrics.map((metric) => ({
      name: metric,
      number: true,
      value: (trial) => trial.values?.[metric],
      text: (trial) => measured(trial.values?.[metric]),
    })),
    ...report.parameters.map(({ name, type }) => ({
      name,
      number: type === 'float' || type === 'int',
      value: (trial) => trial.params[name],
      text: (trial) => short(trial.params[name]),
    })),
    { name: 'step', number: true, value: (trial) => trial.step, text: (trial) => short(trial.step) },
    { name: 'time', number: true, value: (trial) => trial.run_seconds, text: (trial) => duration(trial.run_seconds) },
    { name: 'attempts', number: true, value: (trial) => trial.attempts, text: (trial) => String(trial.attempts) },
    { name: 'from', value: (trial) => trial.origin, text: (trial) => trial.origin },
    ...(trials.some((trial) => trial.synthetic)
      ? [{ name: 'data', value: (trial) => (trial.synthetic ? 'synthetic' : ''), text: (trial) => (trial.synthetic ? 'synthetic' : '') }]
      : []),
    ...(trials.some((trial) => trial.note || trial.failure)
      ? [
          {
            name: 'why',
            words: true,
            value: (trial) => trial.failure?.message ?? trial.note,
            text: (trial) => (trial.failure ? `${trial.failure.class}: ${trial.failure.message}` : (trial.note ?? '')),
          },
        ]
      : []),
  ];

  /** Two lines of a text that may be long; the rest at a click, and when the pointer rests on it. */
  const brief = (text) =>
    element('div', { class: 'brief', title: text, onclick: (event) => event.currentTarget.classList.toggle('whole') }, text);

  let sort = { column: columns[2] ?? columns[0], down: report.summary.objectives[0].direction === 'maximize' };
  let filter = '';
  let limit = 100;

  section(
    'All trials',
    'Click a head to sort; the filter looks at every cell.',
    () => {
      const rows = trials
        .filter((trial) => filter === '' || columns.some((column) => column.text(trial).toLowerCase().includes(filter)))
        .sort((a, b) => {
          const [left, right] = [sort.column.value(a), sort.column.value(b)];
          const missing = (value) => value === undefined || value === null || Number.isNaN(value);
          if (missing(left) || missing(right)) return missing(left) - missing(right) || a.number - b.number;
          const order =
            typeof left === 'number' && typeof right === 'number'
              ? left - right
              : String(left).localeCompare(String(right), undefined, { numeric: true });
          return (sort.down ? -order : order) || a.number - b.number;
        });
      const head = columns.map((column) =>
        element(
          'th',
          {
            class: column.number ? 'number-cell' : null,
            'aria-sort': sort.column === column ? (sort.down ? 'descending' : 'ascending') : null,
          },
          element(
            'button',
            {
              onclick: () => {
                sort = { column, down: sort.column === column ? !sort.down : false };
                globalThis.holdfast.redraw('All trials');
              },
            },
            `${column.name}${sort.column === column ? (sort.down ? ' ↓' : ' ↑') : ''}`,
          ),
        ),
      );
      const body = rows.slice(0, limit).map((trial) =>
        element(
          'tr',
          { class: trial.number === best ? 'best' : null },
          columns.map((column) =>
            element(
              'td',
              {
                class:
                  [column.number ? 'number-cell' : '', column.words ? 'words' : '', column.style?.(trial) ?? ''].join(' ').trim() || null,
              },
              column.words ? brief(column.text(trial)) : column.text(trial),
            ),
          ),
        ),
      );
      return element(
        'div',
        {},
        element(
          'div',
          { class: 'scroll' },
          element('table', {}, element('thead', {}, element('tr', {}, head)), element('tbody', {}, body)),
        ),
        rows.length > limit
          ? element(
              'p',
              { class: 'note' },
              `${limit} of ${rows.length} shown. `,
              element(
                'button',
                {
                  onclick: () => {
                    limit = Number.POSITIVE_INFINITY;
                    globalThis.holdfast.redraw('All trials');
                  },
                },
                'Show all',
              ),
            )
          : element('p', { class: 'note' }, `${rows.length} ${rows.length === 1 ? 'trial' : 'trials'}.`),
      );
    },
    (redraw) => [
      element(
        'label',
        {},
        'Filter',
        element('input', {
          type: 'search',
          placeholder: 'failed, sobol, 0.97 …',
          oninput: (event) => {
            filter = event.target.value.trim().toLowerCase();
            redraw();
          },
        }),
      ),
    ],
  );
}
