import pc from 'picocolors';

/** How text is coloured, or not. */
export type Style = ReturnType<typeof pc.createColors>;

/** Whether to colour what goes to a stream: a terminal, unless the user said no (`--no-color`, NO_COLOR) or forced it (FORCE_COLOR). */
export function wantsColor(
  stream: { readonly isTTY?: boolean },
  asked: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (!asked || env['NO_COLOR']) return false;
  if (env['FORCE_COLOR']) return env['FORCE_COLOR'] !== '0';
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

export function styleFor(color: boolean): Style {
  return pc.createColors(color);
}
