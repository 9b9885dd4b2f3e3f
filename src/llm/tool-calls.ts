/** One call of a tool that a model asks for. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  /** As the service wrote it, for the next request, which has to repeat it. */
  readonly given: unknown;
}

/** Calls of one answer that are carried out; there are three tools, so more than this is a model gone astray. */
const MOST_CALLS = 8;

/** The calls in an assistant's message. What has no function with a name is left out; arguments may be an object and the id missing, as some services send them. */
export function readToolCalls(called: unknown): readonly ToolCall[] {
  if (!Array.isArray(called)) return [];
  return called
    .flatMap((call: unknown, index): ToolCall[] => {
      const { id: own, function: wanted } = (call ?? {}) as { id?: unknown; function?: unknown };
      const { name, arguments: given } = (wanted ?? {}) as { name?: unknown; arguments?: unknown };
      if (typeof name !== 'string') return [];
      const id = typeof own === 'string' && own !== '' ? own : `call-${index + 1}`;
      const repeated = id === own ? call : { ...(call as object), id, type: 'function' };
      return [{ id, name, arguments: typeof given === 'string' ? given : (JSON.stringify(given) ?? ''), given: repeated }];
    })
    .slice(0, MOST_CALLS);
}
