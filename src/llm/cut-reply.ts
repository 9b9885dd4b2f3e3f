/** An object or a list that is open at the end of a text. */
interface Open {
  readonly from: number;
  readonly isList: boolean;
  /** Objects, or lists of objects, that were closed within it. */
  wholeObjects: number;
}

/**
 * The text without the point in which it ends: of a reply that was cut off, a number may be half of one (`0.0` of `0.05`), so only points of which the
 * parameters were closed count. A reply that was not cut, and one that was cut in a point's reasoning or in the note, stays as it is.
 */
export function withoutCutPoint(text: string): string {
  if (/[}\]]\s*$/.test(text)) return text;
  const open = openAtEnd(text);
  const innermost = open.at(-1);
  // Between two points nothing is half; a list of numbers belongs to the object around it.
  if (innermost?.isList === true && /^\s*([{[]|$)/.test(text.slice(innermost.from + 1))) return text;
  const object = open.findLast(({ isList }) => !isList);
  return object === undefined || object.wholeObjects > 0 ? text : text.slice(0, object.from);
}

function openAtEnd(text: string): Open[] {
  const open: Open[] = [];
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text[i] as string;
    if (quote !== '') {
      if (character === '\\') i++;
      else if (character === quote) quote = '';
    } else if (character === '"' || (character === "'" && /[{[,:]\s*$/.test(text.slice(Math.max(0, i - 20), i)))) quote = character;
    else if (character === '{' || character === '[') open.push({ from: i, isList: character === '[', wholeObjects: 0 });
    else if (character === '}' || character === ']') {
      const closed = open.pop();
      const around = open.at(-1);
      if (closed !== undefined && around !== undefined && (!closed.isList || closed.wholeObjects > 0)) around.wholeObjects += 1;
    }
  }
  return open;
}
