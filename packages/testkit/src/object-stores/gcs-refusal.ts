/** What of a request an answer blames, in the words of the JSON API. */
interface Blame {
  readonly locationType: 'header' | 'parameter';
  readonly location: string;
}

/** An answer of the service that is no success, in the form of its JSON API. */
export class GcsRefusal extends Error {
  readonly status: number;
  readonly reason: string;
  readonly blame: Blame | undefined;

  constructor(status: number, reason: string, message: string, blame?: Blame) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.blame = blame;
  }

  toJSON(): object {
    const { status: code, reason, message, blame } = this;
    return { error: { code, message, errors: [{ message, domain: 'global', reason, ...blame }] } };
  }
}

const header = (location: string): Blame => ({ locationType: 'header', location });

export const refusals = {
  invalid: (message: string): GcsRefusal => new GcsRefusal(400, 'invalid', message),
  parseError: (): GcsRefusal => new GcsRefusal(400, 'parseError', 'Parse Error'),
  required: (location: string): GcsRefusal =>
    new GcsRefusal(400, 'required', `Required parameter: ${location}`, {
      locationType: 'parameter',
      location,
    }),
  noLogin: (): GcsRefusal => new GcsRefusal(401, 'required', 'Login Required', header('Authorization')),
  badLogin: (): GcsRefusal =>
    new GcsRefusal(401, 'authError', 'Invalid Credentials', header('Authorization')),
  noCall: (): GcsRefusal => new GcsRefusal(404, 'notFound', 'Not Found'),
  noBucket: (): GcsRefusal => new GcsRefusal(404, 'notFound', 'The specified bucket does not exist.'),
  noObject: (bucket: string, name: string): GcsRefusal =>
    new GcsRefusal(404, 'notFound', `No such object: ${bucket}/${name}`),
  notMet: (): GcsRefusal =>
    new GcsRefusal(
      412,
      'conditionNotMet',
      'At least one of the pre-conditions you specified did not hold.',
      header('If-Match'),
    ),
  /** Has no body. */
  notModified: (): GcsRefusal => new GcsRefusal(304, 'notModified', 'Not Modified'),
  noSuchRange: (): GcsRefusal =>
    new GcsRefusal(
      416,
      'requestedRangeNotSatisfiable',
      'The requested range cannot be satisfied.',
      header('Range'),
    ),
  held: (bucket: string, name: string, kind: 'Temporary' | 'Event-Based'): GcsRefusal =>
    // Documented is the reason objectUnderActiveHold; this one is what the service was seen to answer.
    new GcsRefusal(
      403,
      'forbidden',
      `Object '${bucket}/${name}' is under active ${kind} hold and cannot be deleted, overwritten or archived until hold is removed.`,
    ),
  retained: (bucket: string, name: string, until: Date): GcsRefusal =>
    new GcsRefusal(
      403,
      'retentionPolicyNotMet',
      `Object '${bucket}/${name}' is subject to bucket's retention policy or object retention and cannot be deleted or overwritten until ${until.toISOString()}`,
    ),
} as const;
