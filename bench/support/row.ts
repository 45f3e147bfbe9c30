/** One measured case. `met` is computed from the ratio only, never from an absolute value. */
export interface Row {
  readonly bench: string;
  readonly case: string;
  /** Undefined: not measured, see `missing`. */
  readonly value?: number | undefined;
  readonly unit: string;
  readonly ratio?: number | undefined;
  /** What the ratio is to. */
  readonly against?: string | undefined;
  readonly target?: number | undefined;
  readonly met?: boolean | undefined;
  /** Why there is no value, and what to install. */
  readonly missing?: string | undefined;
}

export interface BenchOptions {
  readonly quick: boolean;
  /** Keys of the cases to measure, where a benchmark has many (dispatch). @defaultValue all */
  readonly only?: readonly string[] | undefined;
}

/** `value / base` as a row's ratio; the target is a least or a greatest ratio. */
export function compare(value: number, base: number, against: string, target?: { readonly atLeast: number } | { readonly atMost: number }): Partial<Row> {
  const ratio = value / base;
  const shown = { ratio: rounded(ratio), against };
  if (target === undefined) return shown;
  return 'atLeast' in target
    ? { ...shown, target: target.atLeast, met: ratio >= target.atLeast }
    : { ...shown, target: target.atMost, met: ratio <= target.atMost };
}

/** Three significant digits, or all before the point. */
export function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** A line a row, every field there. */
export function toJson({ bench, case: name, value, unit, ratio, against, target, met }: Row): string {
  const orNull = <T>(field: T | undefined): T | null => field ?? null;
  return JSON.stringify({
    bench,
    case: name,
    value: orNull(value),
    unit,
    ratio: orNull(ratio),
    against: orNull(against),
    target: orNull(target),
    met: orNull(met),
  });
}

export function toTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => {
    const { value, ratio, target, met } = row;
    // A target met by a ratio below it is a greatest ratio, and the reverse.
    const sign = target === undefined || ratio === undefined ? '' : ratio <= target === met ? '<=' : '>=';
    return [
      row.case,
      value === undefined ? 'missing' : String(value),
      value === undefined ? '' : row.unit,
      ratio === undefined ? '' : `${ratio} x ${row.against}`,
      target === undefined ? '' : `${sign} ${target}`,
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ];
  });
  const all = [['case', 'value', 'unit', 'ratio', 'target', ''], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const lines = all.map((line) =>
    line
      .map((cell, column) => (column === 1 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  const notes = rows.flatMap((row) => (row.missing === undefined ? [] : [`missing: ${row.case}: ${row.missing}`]));
  return [...lines, ...new Set(notes)].join('\n');
}
