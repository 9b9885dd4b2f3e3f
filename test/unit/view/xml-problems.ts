/** Enough of XML to say whether an SVG is well-formed: tags nest, attributes are quoted, no stray `<` or `&`. */
export function xmlProblems(text: string): string[] {
  const problems: string[] = [];
  const open: string[] = [];
  let rest = text;
  while (rest.length > 0) {
    const tag = /^<(\/?)([a-z]+)((?:\s+[\w:-]+="[^"<&]*")*)\s*(\/?)>/i.exec(rest);
    if (tag) {
      const [whole, closing, name, , alone] = tag;
      if (closing) {
        const expected = open.pop();
        if (expected !== name) problems.push(`</${name}> closes <${expected}>`);
      } else if (!alone) open.push(name as string);
      rest = rest.slice(whole.length);
      continue;
    }
    const words = /^(?:[^<&]|&(?:amp|lt|gt|quot|#\d+);)+/.exec(rest);
    if (!words) return [...problems, `not XML: ${rest.slice(0, 60)}`];
    rest = rest.slice(words[0].length);
  }
  return open.length === 0 ? problems : [...problems, `left open: ${open.join(', ')}`];
}
