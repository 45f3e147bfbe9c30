/** A method that does next to nothing: what a call of it costs is the way there and back. */
export class Sums {
  async add(a: number, b: number): Promise<number> {
    return (a + b) | 0;
  }
}

/** The same, as a thread of a pool runs it. */
export default ({ a, b }: { readonly a: number; readonly b: number }): number => (a + b) | 0;
