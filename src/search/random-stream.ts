/**
 * Random numbers that depend on (seed, stream, index) only: every point of a design has a stream of its own, so that what was drawn before,
 * by whom and how often a worker was restarted, makes no difference. sfc32 (Chris Doty-Humphrey's PractRand, public domain), seeded by
 * a murmur-like mix; not for cryptography.
 */
export interface RandomStream {
  /** Uniform in [0, 1), 53 bits. */
  readonly next: () => number;
  /** Uniform integer in [0, n). */
  readonly integer: (n: number) => number;
  /** Standard normal. */
  readonly normal: () => number;
}

/** 32 bits that depend on every bit of the words. */
export function mixWords(...words: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const word of words) {
    h = Math.imul(h ^ (word | 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    // Doubles above 2^32 would lose their high part in `| 0`.
    h = Math.imul(h ^ Math.floor(word / 4294967296) ^ (h >>> 16), 0x27d4eb2f);
    h ^= h >>> 15;
  }
  return h >>> 0;
}

function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** The stream number `index` of the named family, e.g. `streamAt(7, 'random', 12)`. */
export function streamAt(seed: number, family: string, index: number): RandomStream {
  const text = hashText(family);
  let a = mixWords(seed, text, index, 1);
  let b = mixWords(seed, text, index, 2);
  let c = mixWords(seed, text, index, 3);
  let counter = 1;
  const word = (): number => {
    const t = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) word();
  const next = (): number => ((word() >>> 5) * 67108864 + (word() >>> 6)) / 9007199254740992;
  let spare: number | undefined;
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    // Marsaglia's polar form of Box–Muller.
    for (;;) {
      const x = 2 * next() - 1;
      const y = 2 * next() - 1;
      const s = x * x + y * y;
      if (s > 0 && s < 1) {
        const scale = Math.sqrt((-2 * Math.log(s)) / s);
        spare = y * scale;
        return x * scale;
      }
    }
  };
  return { next, integer: (n) => Math.floor(next() * n), normal };
}

/** Coordinates of one point of a random design. */
export function randomUnit(seed: number, index: number, dimensions: number): Float64Array {
  const stream = streamAt(seed, 'random', index);
  return Float64Array.from({ length: dimensions }, () => stream.next());
}
