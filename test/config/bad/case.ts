/** A configuration that is refused, and what is said of it. */
export interface Bad {
  readonly name: string;
  readonly yaml: string;
  /** line:column of the one problem. */
  readonly at: string;
  readonly path: string;
  readonly value?: string;
  readonly says: RegExp;
  readonly wayOut: RegExp;
  readonly code?: string;
}
