/**
 * Reads JSON as Python's `json` module writes it: NaN, Infinity and -Infinity, which are no JSON, become null; inside strings they stay.
 * Throws SyntaxError like JSON.parse.
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Only now: most lines are JSON, and a table may have 100,000 of them.
    return JSON.parse(text.replace(/"(?:\\.|[^"\\])*"|-?\b(?:NaN|Infinity)\b/g, (part) => (part.startsWith('"') ? part : 'null')));
  }
}
