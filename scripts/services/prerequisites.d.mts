export interface Prerequisite {
  /** As a person knows it. */
  name: string;
  found(): Promise<boolean>;
  /** Debian's packages that hold it, the preferred one first. */
  packages: string[];
}

export declare const prerequisites: Prerequisite[];
export declare const tools: Readonly<Record<'chromium' | 'prometheus', Prerequisite>>;
export declare function refusal(
  wanted: Prerequisite[],
  machine: { debian: boolean; root: boolean },
): string | undefined;
export declare function ensurePrerequisites(
  say?: (line: string) => void,
  needed?: readonly Prerequisite[],
): Promise<void>;
