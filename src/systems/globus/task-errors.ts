import type { FailureClass } from '../../domain/failures.ts';

/** What the failure of a Globus Compute task means: whose fault it is and whether the same attempt may run again. */
export interface TaskVerdict {
  readonly class: FailureClass;
  /** Counts against `max_retries` and is run again under the same key. */
  readonly infrastructure: boolean;
  readonly message: string;
}

interface TaskErrorRow {
  /** Matches the last line of the traceback, or anywhere for texts that the engine wraps in its own lines. */
  readonly match: RegExp;
  readonly where: 'last' | 'any';
  readonly class: FailureClass;
  readonly infrastructure: boolean;
  readonly say: string;
}

/**
 * The REST task carries no error code, so the text decides (globus.md section 5; texts in goldens/globus/worker_results.json).
 * First matching row wins; infrastructure stands before user exceptions since the engine quotes the latter in the former.
 */
export const TASK_ERROR_TABLE: readonly TaskErrorRow[] = [
  {
    match: /ManagerLost/,
    where: 'any',
    class: 'node_failure',
    infrastructure: true,
    say: 'The batch job of the endpoint ended under the task.',
  },
  { match: /WorkerLost/, where: 'any', class: 'node_failure', infrastructure: true, say: 'The worker process died under the task.' },
  {
    match: /BadStateException|ScalingFailed|SubmitException/,
    where: 'any',
    class: 'node_failure',
    infrastructure: true,
    say: 'The endpoint could not get a batch job.',
  },
  {
    match: /UNKNOWN_TASK_FAILURE|CouldNotExecuteUserTaskError|VersionMismatch/,
    where: 'any',
    class: 'lost',
    infrastructure: true,
    say: 'The endpoint could not run the task.',
  },
  {
    match: /AppTimeout/,
    where: 'any',
    class: 'timeout',
    infrastructure: false,
    say: 'The endpoint ended the task at its own time limit (GC_TASK_TIMEOUT).',
  },
  {
    match: /InvalidResourceSpecification/,
    where: 'any',
    class: 'configuration_error',
    infrastructure: false,
    say: 'The endpoint refuses the resource specification.',
  },
  {
    match: /FUNCTION_NOT_ALLOWED|not in the list of allowed functions/i,
    where: 'any',
    class: 'configuration_error',
    infrastructure: false,
    say: 'The endpoint does not allow our function: ask its owner to add it.',
  },
  {
    match: /MaxResultSizeExceeded/,
    where: 'last',
    class: 'too_large',
    infrastructure: false,
    say: 'The result is above the limit of 10 MiB.',
  },
  {
    match: /error_types\.(Deserialization|Serialization|Serde)Error/,
    where: 'any',
    class: 'configuration_error',
    infrastructure: false,
    say: 'The endpoint does not take our serialization: allow PureSourceTextInspect and JSONData (allowed_serializers).',
  },
  {
    match: /^(ModuleNotFoundError|ImportError)\b/,
    where: 'last',
    class: 'environment_error',
    infrastructure: false,
    say: 'A Python module is missing on the worker.',
  },
  { match: /^MemoryError\b/, where: 'last', class: 'resource_error', infrastructure: false, say: 'The worker ran out of memory.' },
  {
    match: /^OSError: \[Errno (28|122)\]/,
    where: 'last',
    class: 'storage',
    infrastructure: true,
    say: 'No space or quota is left on the system.',
  },
  {
    match: /^(PermissionError|FileNotFoundError|NotADirectoryError|IsADirectoryError|OSError)\b/,
    where: 'last',
    class: 'filesystem_error',
    infrastructure: true,
    say: 'The file system of the endpoint refused.',
  },
  {
    match: /^(ConnectionError|ConnectionResetError|TimeoutError|BrokenPipeError)\b/,
    where: 'last',
    class: 'network_error',
    infrastructure: true,
    say: 'A connection failed on the worker.',
  },
];

/** Classifies the `exception` (or `reason`) text of a failed task. */
export function judgeTaskFailure(text: string): TaskVerdict {
  const last = lastLine(text);
  for (const row of TASK_ERROR_TABLE) {
    if (row.match.test(row.where === 'last' ? last : text))
      return { class: row.class, infrastructure: row.infrastructure, message: `${row.say} (${clip(last)})` };
  }
  return { class: 'unknown_error', infrastructure: false, message: `The task failed: ${clip(last)}` };
}

/** The line that names the exception: the last one with text that is no frame of '+' or '-' characters. */
export function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.findLast((line) => line !== '' && !/^[-+|\s]+$/.test(line)) ?? '';
}

function clip(text: string): string {
  return text.length > 300 ? `${text.slice(0, 297)}...` : text;
}
