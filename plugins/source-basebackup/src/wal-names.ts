/** A segment, one that was not full when its timeline ended, the note of a backup, the history of a timeline. */
const forms = [
  /^([0-9A-F]{8})[0-9A-F]{16}(?:\.partial)?$/,
  /^([0-9A-F]{8})[0-9A-F]{16}\.[0-9A-F]{8}\.backup$/,
  /^([0-9A-F]{8})\.history$/,
];

/** The timeline that the name of a file of the log begins with; undefined for every other name. */
export function timelineOf(name: string): string | undefined {
  for (const form of forms) {
    const timeline = form.exec(name)?.[1];
    if (timeline !== undefined) return timeline;
  }
  return undefined;
}

export const isWalFile = (name: string): boolean => timelineOf(name) !== undefined;
