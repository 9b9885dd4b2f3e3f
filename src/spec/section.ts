import * as z from 'zod';
import { KNOWN_KEYS } from './issues.ts';

type CamelKey<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelKey<Tail>>}` : S;

/** The same object with its own keys in camelCase; what lies inside stays as it is. */
export type Camel<T> = { readonly [K in keyof T as CamelKey<K & string>]: T[K] };

function camelKey(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** snake_case keys (files) → camelCase keys (code), one level. */
export function camel<T extends object>(value: T): Camel<T> {
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [camelKey(key), inner])) as Camel<T>;
}

/** A mapping that refuses unknown keys and says which there are. */
export function strict<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `${KNOWN_KEYS} ${Object.keys(shape).join(' ')}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === 'unrecognized_keys' ? known : undefined) });
}

/** A strict mapping of a file: keys in snake_case, given on in camelCase. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return strict(shape).transform((value) => camel(value as z.output<z.ZodObject<Shape, z.core.$strict>> & object));
}
