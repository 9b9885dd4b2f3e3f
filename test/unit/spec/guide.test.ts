import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { admitText } from '../../../src/spec/admit.ts';
import { BadSpec } from '../../../src/spec/bad-spec.ts';
import { problemText } from '../../../src/spec/problem.ts';

/** The guide's block of step 4.1, letter by letter but for the name of a person in a path. */
const GUIDE = `globus_compute:
  enabled: true  # Set to true to enable Globus Compute
  endpoint_id: "your-endpoint-id-here"  # Replace with actual endpoint ID from Step 2.4
  endpoint_config_path: "config/globus_endpoint.yaml"
  auth_method: "native_client"
  function_timeout: 3600  # 1 hour timeout
  max_retries: 2

# Working directories configuration
working_dirs:
  aurora_base: "/lus/flare/projects/datascience/someone/workflows"
  local_base: "results"
  launch_iteration_pattern: "{timestamp}_{experiment_id}"
  job_pattern: "job_{job_id}"

# Data configuration
data:
  dir: "data/cifar-100-python"
`;

/** The guide's block of the reference at its end. */
const REFERENCE = `globus_compute:
  enabled: false               # Set to true to enable
  endpoint_id: "endpoint-id"   # Required: your endpoint ID
  endpoint_config_path: "config/globus_endpoint.yaml"
  auth_method: "native_client" # Authentication method
  function_timeout: 3600       # Function timeout in seconds
  max_retries: 2              # Maximum retry attempts
`;

const REST = `objective: {metric: val_auc, direction: maximize}
search_space: {learning_rate: {type: log_uniform, min: 1e-5, max: 1e-1}}
training: {command: "{python} train.py --data_dir {data_dir}"}
budget: {trials: 100}
`;

const ENDPOINT = '00000000-0000-4000-8000-0000000000e1';
const options = { env: {}, now: new Date('2026-11-23T00:00:00Z') };

describe("the guide's configuration", () => {
  it('is accepted as it stands once the endpoint id is put in, and every key of it arrives', () => {
    const spec = admitText(GUIDE.replace('your-endpoint-id-here', ENDPOINT) + REST, 'config.yaml', options);
    expect(spec.system.kind).toBe('globus_compute');
    expect(spec.system.settings).toMatchObject({
      endpointId: ENDPOINT,
      endpointConfigPath: 'config/globus_endpoint.yaml',
      authMethod: 'native_client',
      functionTimeoutSeconds: 3600,
      maxRetries: 2,
    });
    expect(spec.limits.trialSeconds).toBe(3600);
    expect(spec.retries.infrastructure).toBe(2);
    expect(spec.workingDirs).toEqual({
      remoteBase: '/lus/flare/projects/datascience/someone/workflows',
      localBase: 'results',
      launchIterationPattern: '{timestamp}_{experiment_id}',
      jobPattern: 'job_{job_id}',
    });
    expect(spec.training.dataDir).toBe('data/cifar-100-python');
  });

  it('has no problem but the placeholder before that', () => {
    let told: string[] = [];
    try {
      admitText(GUIDE + REST, 'config.yaml', options);
    } catch (error) {
      if (!(error instanceof BadSpec)) throw error;
      told = error.problems.map(problemText);
    }
    expect(told).toEqual([
      'globus_compute.endpoint_id: is still the guide\'s placeholder "your-endpoint-id-here" (config.yaml:3:16). Put in the UUID that `holdfast endpoint status` shows.',
    ]);
  });

  it('switched off runs on this computer, without the limits that Globus Compute has', () => {
    const spec = admitText(REFERENCE + REST.replace(' --data_dir {data_dir}', ''), 'config.yaml', options);
    expect(spec.system.kind).toBe('local');
    expect(spec.limits.trialSeconds).toBeUndefined();
    expect(spec.retries.infrastructure).toBe(5);
  });

  it('switched off runs on PBS when a PBS system is named, with the same folders', () => {
    const spec = admitText(
      `${GUIDE.replace('enabled: true', 'enabled: false')}${REST}system: {name: aurora, account: P}\n`,
      'config.yaml',
      options,
    );
    expect([spec.system.kind, spec.workingDirs.remoteBase]).toEqual(['pbs', '/lus/flare/projects/datascience/someone/workflows']);
  });

  it('needs no globus_compute block when a system of that kind with its endpoint is named', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-globus-'));
    const profile = `version: 1\nname: mine\nkind: globus_compute\nas_of: 2026-11-01\nsource: me\nendpoint_id: ${ENDPOINT}\n`;
    writeFileSync(path.join(folder, 'mine.yaml'), profile);
    const rest = REST.replace(' --data_dir {data_dir}', '');
    const spec = admitText(`${rest}system: mine\n`, 'c.yaml', { ...options, profileFolders: [folder] });
    expect([spec.system.name, spec.system.settings.endpointId, spec.limits.trialSeconds]).toEqual(['mine', ENDPOINT, 3600]);
    const off = `${rest}system: mine\nglobus_compute: {enabled: false}\n`;
    expect(() => admitText(off, 'c.yaml', { ...options, profileFolders: [folder] })).toThrow('but globus_compute.enabled is false');
  });

  it.each(['native_client', 'confidential_client', 'client_credentials'])('takes %s to authenticate', (method) => {
    const text = GUIDE.replace('your-endpoint-id-here', ENDPOINT).replace('"native_client"', method) + REST;
    expect(admitText(text, 'config.yaml', options).system.settings.authMethod).toBe(method);
  });

  it('takes live_metrics, and refuses to switch off what a pruner needs', () => {
    const block = (line: string) =>
      GUIDE.replace('your-endpoint-id-here', ENDPOINT).replace('  max_retries: 2\n', `  max_retries: 2\n${line}`) + REST;
    const settingOf = (line: string) => admitText(block(line), 'config.yaml', options).system.settings.liveMetrics;
    expect([settingOf('  live_metrics: true\n'), settingOf('  live_metrics: false\n'), settingOf('')]).toEqual([true, false, undefined]);
    const pruned = `${block('  live_metrics: false\n')}pruner: {type: median, max_steps: 9}\n`;
    expect(() => admitText(pruned, 'config.yaml', options)).toThrow(
      /live_metrics: is false, but the pruner decides by what running trials report/,
    );
  });

  it("takes the prototype's parallel_jobs block", () => {
    const jobs = '  parallel_jobs: {max_concurrent: 12, initial_batch_size: 8, adaptive_scaling: true, job_spacing_seconds: 5}\n';
    const spec = admitText(
      GUIDE.replace('your-endpoint-id-here', ENDPOINT).replace('  max_retries: 2\n', `  max_retries: 2\n${jobs}`) + REST,
      'config.yaml',
      options,
    );
    expect([spec.concurrency, spec.ramp, spec.spacingSeconds]).toEqual([12, { initial: 8, isAdaptive: true }, 5]);
  });
});
