/** One record of a table. */
export interface CsvRecord {
  readonly cells: readonly string[];
  /** Where it begins, from 1. */
  readonly line: number;
}

/**
 * Records of RFC 4180: quoted cells may hold the delimiter, line breaks and doubled quotes. Cells without quotes are trimmed; empty lines are left out.
 */
export function csvRecords(text: string, delimiter: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let cells: string[] = [];
  let cell = '';
  let isQuoted = false;
  let wasQuoted = false;
  let line = 1;
  let first = 1;
  const endCell = () => {
    cells.push(wasQuoted ? cell : cell.trim());
    cell = '';
    wasQuoted = false;
  };
  const endRecord = () => {
    endCell();
    if (cells.length > 1 || cells[0] !== '') records.push({ cells, line: first });
    cells = [];
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '\n') line++;
    if (isQuoted) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') {
        cell += '"';
        at++;
      } else isQuoted = false;
    } else if (character === '"' && cell.trim() === '') {
      isQuoted = true;
      wasQuoted = true;
      cell = '';
    } else if (character === delimiter) endCell();
    else if (character === '\n') {
      endRecord();
      first = line;
    } else if (character !== '\r' && !(wasQuoted && character === ' ')) cell += character;
  }
  endRecord();
  return records;
}
