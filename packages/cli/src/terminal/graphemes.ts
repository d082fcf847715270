let segmenter: Intl.Segmenter | undefined;

/** What a person takes for one character each. The segmenter takes some milliseconds to make, which most calls need not spend. */
export function* graphemesOf(text: string): Generator<string> {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (const { segment } of segmenter.segment(text)) yield segment;
}
