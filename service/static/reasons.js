// Reasons: what each feature of a row has part in the answer, against a reference, as Shapley values; as the service
// computes them. A coalition is a list of booleans, one a player; the players are the features whose values differ from
// the reference's.

// Up to so many players all coalitions are asked for.
const MOST_EXACT = 12;
// Pairs of orders, over all rows of the reference together, and the standard error that is small enough.
const FEWEST_PAIRS = 16, MOST_PAIRS = 2048, ENOUGH_ERROR = 0.004;
// What sampling may take, in weights of the network times rows: half a second of a laptop's time.
const MOST_WORK = 1.2e9;
// Coalitions of so many players have a number each, by which those that come again are known.
const MOST_NUMBERED = 52;
const SLICE = 64;

// The wire's explanation of one answer. `pairs` are the row against each row of the reference: { players (their places
// among `names`), at (the class's probability at the reference), game (coalitions → Promise of its probabilities) }.
// `weights` is how many the network has.
export async function explained({ label, probability, reference, names, weights, pairs }) {
  const values = names.map(() => 0), variances = names.map(() => 0);
  let drawn = false;
  for (const [seed, { players, at, game }] of pairs.entries()) {
    const plan = samplingOf(players.length, pairs.length, weights);
    const found = await shapley(game, players.length, { empty: at, full: probability }, plan, seed);
    players.forEach((player, index) => {
      values[player] += found.values[index] / pairs.length;
      if (found.errors) variances[player] += (found.errors[index] / pairs.length) ** 2;
    });
    drawn ||= found.errors !== null;
  }
  const byName = (numbers) => Object.fromEntries(names.map((name, index) => [name, numbers[index]]));
  const method = drawn ? "permutations" : "exact";
  const base = pairs.reduce((sum, { at }) => sum + at / pairs.length, 0);
  const found = { label, probability, reference, reference_probability: base, method, values: byName(values) };
  return drawn ? { ...found, standard_errors: byName(variances.map(Math.sqrt)) } : found;
}

// How many pairs of orders are drawn: at least `fewest`, then twice as many again and again, up to `most`, until no
// standard error is above `error`.
function samplingOf(players, several, weights) {
  const affordable = Math.max(2, Math.floor(MOST_WORK / (2 * players * several * weights)));
  const [fewest, most] = [FEWEST_PAIRS, MOST_PAIRS].map((pairs) => Math.min(affordable, Math.max(2, Math.ceil(pairs / several))));
  return { fewest, most, error: ENOUGH_ERROR * Math.sqrt(several) };
}

// The values of a game: `game` gives the outcomes of coalitions, `ends` are those without any player and with all.
export function shapley(game, players, ends, sampling, seed = 0) {
  return players <= MOST_EXACT ? exactValues(game, players, ends) : sampledValues(game, players, ends, sampling, seed);
}

async function exactValues(game, players, { empty, full }) {
  if (players === 0) return { values: [], errors: null };
  const outcomes = Float64Array.of(empty, ...await numbered(game, players, range(1, 2 ** players - 1)), full);
  const weights = range(0, players).map((size) => 1 / (players * combinations(players - 1, size)));
  const values = range(0, players).map((player) => {
    let sum = 0;
    for (let key = 0; key < outcomes.length; key++) {
      if (!(key >> player & 1)) sum += weights[bitsOf(key)] * (outcomes[key | 1 << player] - outcomes[key]);
    }
    return sum;
  });
  return { values, errors: null };
}

// What a player adds to those before it in a random order, on the mean, each order being followed by its reverse.
async function sampledValues(game, players, { empty, full }, { fewest, most, error }, seed) {
  const random = generator(seed), known = new Map();
  const sums = new Float64Array(players), squares = new Float64Array(players);
  for (let pairs = 0, more = fewest; ; ) {
    const orders = range(0, more).flatMap(() => {
      const order = shuffled(players, random);
      return [order, [...order].reverse()];
    });
    const outcomes = await alongOrders(game, players, orders, known);
    for (let pair = 0; pair < orders.length; pair += 2) {
      const added = new Float64Array(players);
      for (const which of [pair, pair + 1]) {
        const line = [empty, ...outcomes[which], full];
        orders[which].forEach((player, place) => (added[player] += (line[place + 1] - line[place]) / 2));
      }
      added.forEach((value, player) => {
        sums[player] += value;
        squares[player] += value * value;
      });
    }
    pairs += more;
    const values = Array.from(sums, (sum) => sum / pairs);
    const spread = (value, player) => Math.sqrt(Math.max(squares[player] / pairs - value * value, 0) / (pairs - 1));
    const errors = values.map(spread);
    more = Math.min(pairs, most - pairs);
    if (more <= 0 || Math.max(...errors) <= error) return { values, errors };
  }
}

// The outcomes after each player but the last of each order. Where coalitions have numbers, each is asked for once.
async function alongOrders(game, players, orders, known) {
  if (players > MOST_NUMBERED) {
    const found = [];
    for (const order of orders) {
      const places = new Int32Array(players);
      order.forEach((player, place) => (places[player] = place));
      found.push(await game(range(0, players - 1).map((last) => Array.from(places, (place) => place <= last))));
    }
    return found;
  }
  const keys = orders.map((order) => {
    let key = 0;
    return order.slice(0, -1).map((player) => (key += 2 ** player));
  });
  const asked = [...new Set(keys.flat())].filter((key) => !known.has(key));
  (await numbered(game, players, asked)).forEach((outcome, index) => known.set(asked[index], outcome));
  return keys.map((line) => line.map((key) => known.get(key)));
}

// The outcomes of numbered coalitions, whose bits are their players; some at a time.
async function numbered(game, players, keys) {
  const found = [];
  for (let start = 0; start < keys.length; start += SLICE) {
    const some = keys.slice(start, start + SLICE).map((key) => {
      return range(0, players).map((player) => Math.floor(key / 2 ** player) % 2 === 1);
    });
    found.push(...await game(some));
  }
  return found;
}

function range(start, end) {
  return Array.from({ length: Math.max(0, end - start) }, (_, index) => start + index);
}

function bitsOf(key) {
  let bits = 0;
  for (let rest = key; rest; rest &= rest - 1) bits++;
  return bits;
}

function combinations(many, few) {
  return range(0, few).reduce((product, index) => (product * (many - index)) / (index + 1), 1);
}

function shuffled(count, random) {
  const order = range(0, count);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

// Numbers from 0 to 1, the same for the same seed: mulberry32 by Tommy Ettinger, in the public domain.
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
