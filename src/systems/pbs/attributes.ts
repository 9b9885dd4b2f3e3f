/** One object of PBS (job, queue, node, server) with its attributes as text: `Resource_List.walltime` → `00:05:00`. */
export interface PbsObject {
  /** Full job id, queue name, node name. */
  readonly id: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** What a reader made of an answer. Objects that came whole and undamaged, and the names of those that did not: nothing is known of these. */
export interface PbsListing {
  readonly objects: ReadonlyMap<string, PbsObject>;
  readonly damaged: readonly string[];
  /** False when the answer ends in the middle or holds lines that belong to nothing: what is absent is then not proven absent. */
  readonly isComplete: boolean;
}

/** Collects objects; a second one of the same name must say the same, or neither counts. */
export class ListingBuilder {
  readonly #objects = new Map<string, PbsObject>();
  readonly #damaged = new Set<string>();
  #isComplete = true;

  add(object: PbsObject): void {
    const known = this.#objects.get(object.id);
    if (known && !isSame(known.attributes, object.attributes)) this.damage(object.id);
    else if (!this.#damaged.has(object.id)) this.#objects.set(object.id, object);
  }

  damage(id: string | undefined): void {
    this.#isComplete = false;
    if (id === undefined) return;
    this.#objects.delete(id);
    this.#damaged.add(id);
  }

  finish(): PbsListing {
    return { objects: this.#objects, damaged: [...this.#damaged], isComplete: this.#isComplete };
  }
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}
