import { checkAnswer, helloAnswer } from './answers.ts';
import { type ControlOptions, control, type TaskTarget } from './control-tasks.ts';
import { type Diagnosis, guarded, round } from './diagnosis.ts';

/** Sum of the product of two matrices of ones, 256 × 256: what remote/globus_task.py computes on the device. */
export const TENSOR_PRODUCT = 256 ** 3;

/** Registers the function, runs it, waits for its answer (row V5). */
export async function diagnoseConnectivity(target: TaskTarget, options: ControlOptions): Promise<Diagnosis> {
  return guarded('connectivity', async () => {
    const before = performance.now();
    const [hello] = await control(target, [{ op: 'hello' }], helloAnswer, options);
    const seconds = round((performance.now() - before) / 1000);
    const row = {
      message: hello?.message ?? '',
      host: hello?.host ?? '',
      timestamp: new Date((hello?.timestamp ?? 0) * 1000).toISOString(),
      seconds,
    };
    return { verdict: 'pass', message: row.message, rows: [row] };
  });
}

/** PyTorch and devices of a worker (row V6): missing torch fails, torch on processors only is a warning. */
export async function diagnoseTorch(target: TaskTarget, options: ControlOptions, python?: string): Promise<Diagnosis> {
  return guarded('torch', async () => {
    const [check] = await control(
      target,
      [{ op: 'check', python: python ?? null, modules: ['torch', 'intel_extension_for_pytorch'] }],
      checkAnswer,
      options,
    );
    const { torch } = check ?? {};
    const row = {
      host: check?.host ?? '',
      python: check?.python ?? '',
      torch: torch?.version ?? null,
      ipex: torch?.ipex ?? (check?.modules?.intel_extension_for_pytorch ? 'yes' : 'no'),
      device: torch?.device ?? (torch?.version === undefined ? null : 'cpu'),
      devices: torch?.count ?? 0,
      name: torch?.name ?? null,
      current: torch?.current ?? null,
      timestamp: new Date().toISOString(),
    };
    if (check?.python === undefined)
      return {
        verdict: 'fail',
        message: `${check?.problems[0]?.message ?? 'python does not start'}. Mend worker_init of the endpoint.`,
        rows: [row],
      };
    if (torch === undefined)
      return {
        verdict: 'fail',
        message: `Python module torch is missing on ${row.host} (environment_error). Add it to worker_init's environment.`,
        rows: [row],
      };
    if (torch.error !== undefined)
      return {
        verdict: 'fail',
        message: `torch cannot be imported on ${row.host}: ${torch.error}. Mend worker_init's environment.`,
        rows: [row],
      };
    if (torch.product !== TENSOR_PRODUCT)
      return {
        verdict: 'fail',
        message: `torch ${torch.version} on ${row.host} multiplies wrongly on ${row.device} (${torch.product ?? 'no answer'}). Check the driver and the modules of worker_init.`,
        rows: [row],
      };
    if (torch.device === undefined)
      return {
        verdict: 'warn',
        message: `torch ${torch.version} on ${row.host} sees no accelerator. Check available_accelerators and the modules of worker_init.`,
        rows: [row],
      };
    return {
      verdict: 'pass',
      message: `torch ${torch.version} with ${torch.count} × ${torch.name} (${torch.device}) on ${row.host}.`,
      rows: [row],
    };
  });
}

/** So many tasks at once: all must succeed (rows V7, V8). Shows the device each worker was pinned to. */
export async function diagnoseParallel(target: TaskTarget, count: number, seconds: number, options: ControlOptions): Promise<Diagnosis> {
  return guarded('parallel', async () => {
    const before = performance.now();
    const answers = await control(
      target,
      Array.from({ length: count }, (_, index) => ({ op: 'hello', index, seconds })),
      helloAnswer,
      options,
    );
    const elapsed = (performance.now() - before) / 1000;
    const rows = answers.map(({ host, pid, environment }, index) => ({
      task: index,
      host,
      pid,
      device: environment.ZE_AFFINITY_MASK ?? environment.CUDA_VISIBLE_DEVICES ?? environment.ROCR_VISIBLE_DEVICES ?? null,
      rank: environment.PMI_RANK ?? environment.PARSL_WORKER_RANK ?? null,
    }));
    const hosts = new Set(rows.map((row) => row.host)).size;
    const devices = new Set(rows.flatMap((row) => row.device ?? [])).size;
    return {
      verdict: 'pass',
      message: `${count} of ${count} tasks on ${hosts} hosts and ${devices} devices in ${round(elapsed)} s (${round(elapsed / count)} s each).`,
      rows,
    };
  });
}
