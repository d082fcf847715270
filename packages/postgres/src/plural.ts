/** `1 table`, `2,310 tables`: for messages. The noun's plural takes an s. */
export function plural(count: number | bigint, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${Number(count) === 1 ? '' : 's'}`;
}
