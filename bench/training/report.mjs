// A benchmark's figures as Markdown: what `run.mjs` prints and keeps beside the JSON.

const rounded = (value, digits = 1) => (value === null || value === undefined ? '–' : value.toFixed(digits));
const megabytes = (value) => (value ? `${Math.round(value / 1e6)} MB` : '–');
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** The whole page. `result` is the object that bench.py prints; `command` made it. */
export function page(result, command) {
  const { machine, setting } = result;
  const isCpu = setting.device === 'cpu';
  const width = setting.width_factor === 1 ? '' : ` × ${setting.width_factor}`;
  return [
    `# Training speed: ${setting.model}${width} on ${isCpu ? 'the CPU' : setting.device}`,
    `${result.date.slice(0, 16).replace('T', ' ')} UTC, \`${command}\`. ${machine.device}, ${machine.cores} cores (${machine.threads} used), torch ${machine.torch}, Python ${machine.python}, load average at the start ${rounded(machine.load_at_start)}.`,
    `Batches of ${setting.batch_size} from ${setting.images} generated images, float32 for the plain loop. Each contender is a process of its own; they take turns, ${setting.rounds} rounds of ${setting.steps} steps, and a ratio is the median over the rounds, to \`${result.compared_with}\`. The plain loop is what tutorials write: one image at a time through a DataLoader. The trainer cuts whole batches from tensors in memory, so it has no loader processes; \`bf16\` and \`off\` are its \`--amp\`.`,
    speeds(result, isCpu),
    ...(result.several_trials.length === 0 ? [] : [several(result, isCpu)]),
  ].join('\n\n');
}

function speeds(result, isCpu) {
  const head = ['contender', 'images/s', 'ratio', ...(isCpu ? ['by processor time'] : []), 'first batch after', 'resident memory'];
  const rows = Object.entries(result.images_per_second).map(([name, speed]) => {
    const start = result.start[name];
    return [
      name,
      rounded(speed),
      rounded(result.ratio[name], 2),
      ...(isCpu ? [rounded(result.ratio_by_processor_time[name], 2)] : []),
      `${rounded(start.seconds_to_first_batch, 2)} s`,
      `${megabytes(start.resident_bytes)}${start.device_bytes === null ? '' : `, ${megabytes(start.device_bytes)} on the device`}`,
    ];
  });
  const note = isCpu
    ? 'Ratios by processor time (images per second of processor time, loader processes included) waver less on a machine that does other things as well. The first batch counts from the start of the process, each contender starting alone; memory includes loader processes.'
    : 'The first batch counts from the start of the process, each contender starting alone; memory includes loader processes.';
  return `${table(head, rows)}\n\n${note}`;
}

function several(result, isCpu) {
  const rows = result.several_trials.map((row) => [
    String(row.trials),
    row.per_trial.map((speed) => rounded(speed)).join(', '),
    rounded(row.in_all),
    ...(isCpu ? [] : [megabytes(row.device_bytes.reduce((sum, bytes) => sum + (bytes ?? 0), 0))]),
  ]);
  const words = isCpu ? 'Several trials at once, one thread each:' : 'Several trials at once on the one device:';
  return `${words}\n\n${table(['trials', 'images/s of each', 'in all', ...(isCpu ? [] : ['device memory of all'])], rows)}`;
}
