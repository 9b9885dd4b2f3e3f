import type { PythonJson } from './python-json.ts';

/**
 * Reads the plain values of a Python pickle (protocols 2 to 5): None, booleans, integers, floats, text, bytes (as base64 text), lists, tuples,
 * sets, dictionaries. Anything that names a class is refused, so a result can never make us run or build something.
 * Opcodes: CPython Lib/pickletools.py.
 */
export function unpickle(bytes: Uint8Array): PythonJson {
  const machine: Machine = {
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    bytes,
    at: 0,
    stack: [],
    marks: [],
    memo: [],
  };
  for (;;) {
    if (machine.at >= bytes.length) throw new UnpickleError('ends without STOP');
    const opcode = machine.bytes[machine.at++] as number;
    if (opcode === STOP) return plain(pop(machine), 0);
    const step = OPCODES[opcode];
    if (!step) throw new UnpickleError(`needs a Python class or an unknown opcode (0x${opcode.toString(16)})`);
    try {
      step(machine);
    } catch (error) {
      if (error instanceof RangeError) throw new UnpickleError('is truncated');
      throw error;
    }
  }
}

/** A pickle that holds more than plain values, or is damaged. */
export class UnpickleError extends Error {
  constructor(message: string) {
    super(`pickled result ${message}. Ask for JSON results (result_serializers).`);
    this.name = 'UnpickleError';
  }
}

type Item = null | boolean | number | bigint | string | Item[] | Map<Item, Item> | Uint8Array;

interface Machine {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  at: number;
  stack: Item[];
  readonly marks: Item[][];
  readonly memo: Item[];
}

const STOP = 0x2e;
const text = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

const OPCODES: { readonly [opcode: number]: (machine: Machine) => void } = {
  128: (m) => void take(m, 1), // PROTO
  149: (m) => void take(m, 8), // FRAME
  78: (m) => m.stack.push(null),
  136: (m) => m.stack.push(true),
  137: (m) => m.stack.push(false),
  75: (m) => m.stack.push(m.view.getUint8(take(m, 1))),
  77: (m) => m.stack.push(m.view.getUint16(take(m, 2), true)),
  74: (m) => m.stack.push(m.view.getInt32(take(m, 4), true)),
  138: (m) => m.stack.push(long(m, m.view.getUint8(take(m, 1)))),
  139: (m) => m.stack.push(long(m, m.view.getUint32(take(m, 4), true))),
  71: (m) => m.stack.push(m.view.getFloat64(take(m, 8), false)),
  140: (m) => m.stack.push(unicode(m, m.view.getUint8(take(m, 1)))),
  88: (m) => m.stack.push(unicode(m, m.view.getUint32(take(m, 4), true))),
  141: (m) => m.stack.push(unicode(m, Number(m.view.getBigUint64(take(m, 8), true)))),
  67: (m) => m.stack.push(slice(m, m.view.getUint8(take(m, 1)))),
  66: (m) => m.stack.push(slice(m, m.view.getUint32(take(m, 4), true))),
  142: (m) => m.stack.push(slice(m, Number(m.view.getBigUint64(take(m, 8), true)))),
  93: (m) => m.stack.push([]), // EMPTY_LIST
  41: (m) => m.stack.push([]), // EMPTY_TUPLE
  143: (m) => m.stack.push([]), // EMPTY_SET
  125: (m) => m.stack.push(new Map()), // EMPTY_DICT
  40: (m) => {
    m.marks.push(m.stack);
    m.stack = [];
  },
  97: (m) => {
    const item = pop(m);
    list(m).push(item);
  },
  101: (m) => appends(m),
  144: (m) => appends(m), // ADDITEMS of a set
  133: (m) => tuple(m, 1),
  134: (m) => tuple(m, 2),
  135: (m) => tuple(m, 3),
  116: (m) => m.stack.push(toMark(m)),
  145: (m) => m.stack.push(toMark(m)), // FROZENSET
  115: (m) => {
    const value = pop(m);
    const key = pop(m);
    dictionary(m).set(key, value);
  },
  117: (m) => {
    const items = toMark(m);
    const target = dictionary(m);
    for (let index = 0; index + 1 < items.length; index += 2) target.set(items[index] as Item, items[index + 1] as Item);
  },
  148: (m) => void m.memo.push(top(m)), // MEMOIZE
  113: (m) => remember(m, m.view.getUint8(take(m, 1))),
  114: (m) => remember(m, m.view.getUint32(take(m, 4), true)),
  104: (m) => recall(m, m.view.getUint8(take(m, 1))),
  106: (m) => recall(m, m.view.getUint32(take(m, 4), true)),
  48: (m) => void pop(m),
};

function take(machine: Machine, count: number): number {
  const from = machine.at;
  if (from + count > machine.bytes.length) throw new RangeError('end');
  machine.at += count;
  return from;
}

function slice(machine: Machine, count: number): Uint8Array {
  const from = take(machine, count);
  return machine.bytes.subarray(from, from + count);
}

function unicode(machine: Machine, count: number): string {
  return text.decode(slice(machine, count));
}

function long(machine: Machine, count: number): number | bigint {
  const bytes = slice(machine, count);
  let value = 0n;
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index] as number);
  if (bytes.length > 0 && (bytes[bytes.length - 1] as number) & 0x80) value -= 1n << BigInt(8 * bytes.length);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

function pop(machine: Machine): Item {
  const item = machine.stack.pop();
  if (item === undefined) throw new UnpickleError('takes from an empty stack');
  return item;
}

function top(machine: Machine): Item {
  const item = machine.stack.at(-1);
  if (item === undefined) throw new UnpickleError('looks at an empty stack');
  return item;
}

function list(machine: Machine): Item[] {
  const item = top(machine);
  if (!Array.isArray(item)) throw new UnpickleError('appends to something that is no list');
  return item;
}

function dictionary(machine: Machine): Map<Item, Item> {
  const item = top(machine);
  if (!(item instanceof Map)) throw new UnpickleError('sets a key of something that is no dictionary');
  return item;
}

function toMark(machine: Machine): Item[] {
  const above = machine.stack;
  const below = machine.marks.pop();
  if (!below) throw new UnpickleError('lacks a mark');
  machine.stack = below;
  return above;
}

function appends(machine: Machine): void {
  const items = toMark(machine);
  const target = list(machine);
  for (const item of items) target.push(item);
}

function tuple(machine: Machine, count: number): void {
  const items: Item[] = [];
  for (let index = 0; index < count; index++) items.unshift(pop(machine));
  machine.stack.push(items);
}

function remember(machine: Machine, index: number): void {
  machine.memo[index] = top(machine);
}

function recall(machine: Machine, index: number): void {
  const item = machine.memo[index];
  if (item === undefined) throw new UnpickleError('refers to something it never held');
  machine.stack.push(item);
}

/** Maps become objects with the key texts that json.dumps would write; bytes become base64. */
function plain(item: Item, depth: number): PythonJson {
  if (depth > 1_000) throw new UnpickleError('contains itself or is nested too deeply');
  if (item instanceof Uint8Array) return Buffer.from(item).toString('base64');
  if (Array.isArray(item)) return item.map((member) => plain(member, depth + 1));
  if (item instanceof Map) {
    return Object.fromEntries([...item].map(([key, value]) => [typeof key === 'string' ? key : String(key), plain(value, depth + 1)]));
  }
  return item;
}
