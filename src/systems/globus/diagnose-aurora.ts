import { checkAnswer, helloAnswer, probeAnswer, shellAnswer } from './answers.ts';
import { agentArchive } from './archive.ts';
import { type ControlOptions, control, type TaskTarget } from './control-tasks.ts';
import { TENSOR_PRODUCT } from './diagnose-tasks.ts';
import { type Diagnosis, guarded } from './diagnosis.ts';
import { stageArchive } from './staging.ts';

export interface AuroraDiagnosis {
  readonly python?: string;
  /** Folder on the machine where the agent is staged, as a campaign does. */
  readonly base: string;
}

type Row = { readonly check: string; readonly status: 'ok' | 'warn' | 'fail'; readonly found: string };

/**
 * What a campaign on Aurora needs of a worker (row V13): Python, PyTorch that computes on an XPU, a tile of its own, a folder to write to, our agent running
 * under that Python. IPEX is optional: PyTorch has had XPUs of its own since 2.5.
 */
export async function diagnoseAurora(target: TaskTarget, options: ControlOptions, plan: AuroraDiagnosis): Promise<Diagnosis> {
  return guarded('aurora', async () => {
    const [hello] = await control(target, [{ op: 'hello' }], helloAnswer, options);
    const modules = ['torch', 'numpy', 'intel_extension_for_pytorch'];
    const [check] = await control(target, [{ op: 'check', python: plan.python ?? null, modules }], checkAnswer, options);
    const rows = [...pythonRows(check?.python, check?.problems ?? []), ...torchRows(check), maskRow(hello?.environment.ZE_AFFINITY_MASK)];
    rows.push(...(await componentRows(target, options, plan)));
    const bad = rows.filter(({ status }) => status === 'fail');
    const first = bad[0];
    if (first !== undefined)
      return {
        verdict: 'fail',
        message: `${bad.length} of ${rows.length} checks failed on ${check?.host}: ${first.check}: ${first.found}.`,
        rows,
      };
    const doubt = rows.find(({ status }) => status === 'warn');
    if (doubt !== undefined) return { verdict: 'warn', message: `usable, but ${doubt.check}: ${doubt.found}.`, rows };
    return { verdict: 'pass', message: `all ${rows.length} checks passed on ${check?.host}.`, rows };
  });
}

type Check = Awaited<ReturnType<typeof control<ReturnType<typeof checkAnswer.parse>>>>[number] | undefined;

function pythonRows(version: string | undefined, problems: readonly { readonly code: string; readonly message: string }[]): Row[] {
  const broken = problems.find(({ code }) => code === 'environment');
  const found = version ?? broken?.message ?? 'does not start';
  return [{ check: 'python', status: version === undefined ? 'fail' : 'ok', found }];
}

function torchRows(check: Check): Row[] {
  const { modules = {}, torch } = check ?? {};
  const has = (name: string, missing: Row['status']): Row => ({
    check: name,
    status: modules[name] ? 'ok' : missing,
    found: modules[name] ? 'found' : 'is missing; load the frameworks module in worker_init',
  });
  const device: Row =
    torch?.device === 'xpu'
      ? { check: 'device', status: 'ok', found: `${torch.count} × ${torch.name}` }
      : { check: 'device', status: 'fail', found: torch?.error ?? `PyTorch sees ${torch?.device ?? 'no accelerator'}, not xpu` };
  const computes = torch?.product === TENSOR_PRODUCT;
  const tensor: Row = {
    check: 'tensor',
    status: computes ? 'ok' : 'fail',
    found: computes ? 'a product is right' : 'no product was computed',
  };
  return [has('torch', 'fail'), has('numpy', 'fail'), has('intel_extension_for_pytorch', 'warn'), device, tensor];
}

function maskRow(mask: string | undefined): Row {
  return mask === undefined
    ? { check: 'tile', status: 'warn', found: 'ZE_AFFINITY_MASK is not set: name available_accelerators in the endpoint file' }
    : { check: 'tile', status: 'ok', found: mask };
}

/** The folder of the launches, and the agent started there as a trial would. */
async function componentRows(target: TaskTarget, options: ControlOptions, { python, base }: AuroraDiagnosis): Promise<Row[]> {
  const [probe] = await control(target, [{ op: 'probe', base }], probeAnswer, options);
  const agent = await stageArchive(target, probe?.base ?? base, await agentArchive(), 'the agent', options);
  const script = '"$1" "$2/agent.py" one --help >/dev/null';
  const request = { op: 'shell', script, args: [python ?? 'python3', agent], seconds: 60, bytes: 2_000 };
  const [ran] = await control(target, [request], shellAnswer, options);
  const said =
    Buffer.from(ran?.stderr ?? '', 'base64')
      .toString()
      .trim()
      .split('\n')
      .at(-1) ?? '';
  return [
    { check: 'folder', status: 'ok', found: `${probe?.base}, ${Math.round((probe?.free_bytes ?? 0) / 1e9)} GB free` },
    ran?.code === 0
      ? { check: 'agent', status: 'ok', found: 'starts' }
      : { check: 'agent', status: 'fail', found: `exit ${ran?.code}: ${said}` },
  ];
}
